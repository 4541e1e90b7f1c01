"""How a database would execute the statements that something executes."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connection

# Of runs in the tests of plans: without a limit, and as many with one.
ROWS = int(os.environ.get("TASKWORKS_TEST_ROWS", "5000"))


class Statement(NamedTuple):
    """A statement with its parameters in it, as people read it, and as the database gets it."""

    text: str
    sql: str
    parameters: Any


def statements_of(do: Callable[[], object]) -> list[Statement]:
    """What ``do`` asks of the database."""
    found: list[Statement] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, parameters, many, context)
        if not many:
            cursor = context["cursor"].cursor
            text = connection.ops.last_executed_query(cursor, sql, parameters)
            found.append(Statement(text or sql, sql, parameters))
        return answer

    with connection.execute_wrapper(note):
        do()
    return found


def plans(do: Callable[[], object], *parts: str) -> list[str]:
    """The plans of the statements that have these parts in them."""
    statements = [one for one in statements_of(do) if all(part in one.text for part in parts)]
    assert statements
    return [plan(statement) for statement in statements]


def plan(statement: Statement) -> str:
    """
    The plan, with parameters where the statement has them: SQLite reads a partial index only if it
    can tell from the statement itself that the index has all rows.
    """
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with no_scan_of_most_rows(), connection.cursor() as cursor:
        cursor.execute(f"{explain} {statement.sql}", statement.parameters)
        return "\n".join(" ".join(map(str, row)) for row in cursor.fetchall())


@contextmanager
def no_scan_of_most_rows() -> Iterator[None]:
    """PostgreSQL reads all rows where it needs a good part of them, as in this small table."""
    if connection.vendor != "postgresql" or ROWS > 5000:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        try:
            yield
        finally:
            cursor.execute("RESET enable_seqscan")


def assert_no_scan(plan: str, *others: str) -> None:
    """No read of all runs, nor of all rows of the other tables."""
    tables = f"taskworks_({'|'.join(['taskrun', *others])})"
    for line in plan.splitlines():
        assert not re.search(rf"Seq Scan on {tables}\b", line)  # PostgreSQL
        assert not re.search(rf"SCAN {tables}(?! USING)", line)  # SQLite
        assert not re.search(rf"\b{tables} (ALL|index) ", line)  # MySQL and MariaDB
        assert "filesort" not in line
