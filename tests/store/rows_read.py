"""How much a database reads to do something, in a measure of its own."""

from collections.abc import Callable
from itertools import count
from typing import Any

from django.db import connection, transaction


def rows_read(do: Callable[[], object]) -> int:
    """
    The rows that are read meanwhile: on PostgreSQL those of tables, on MySQL and MariaDB also the
    entries of indexes; on SQLite, which does not count them, the steps of its virtual machine.
    """
    measure = {"postgresql": _fetched, "mysql": _handled, "sqlite": _stepped}
    return measure[connection.vendor](do)


def _fetched(do: Callable[[], object]) -> int:
    with transaction.atomic():  # the counters are those of the transaction
        before = _sum("SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables")
        do()
        return _sum("SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables") - before


def _handled(do: Callable[[], object]) -> int:
    earlier, before = _handler_reads(), _handler_reads()
    do()
    to_look = before - earlier  # which reads a table of its own
    return _handler_reads() - before - to_look


def _handler_reads() -> int:
    return _sum("SHOW SESSION STATUS LIKE 'Handler_read%'")


def _sum(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        numbers: list[Any] = [one for row in cursor.fetchall() for one in row]
    return sum(int(one) for one in numbers if str(one).isdigit())


def _stepped(do: Callable[[], object]) -> int:
    steps = count()
    connection.ensure_connection()
    connection.connection.set_progress_handler(lambda: next(steps) and 0, 1)
    try:
        do()
    finally:
        connection.connection.set_progress_handler(None, 1)
    return next(steps)
