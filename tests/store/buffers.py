"""How many pages a statement reads, as PostgreSQL counts them."""

import json
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext


def buffers(do: Callable[[], object], *parts: str) -> int:
    """
    The pages that the statement with these parts in it reads: it is executed once by ``do``, and
    once more, in a transaction that is rolled back, to be explained.
    """
    with CaptureQueriesContext(connection) as captured:
        do()
    [statement] = [q["sql"] for q in captured if all(part in q["sql"] for part in parts)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
        [(explained,)] = cursor.fetchall()
        transaction.set_rollback(True)
    [plan] = json.loads(explained) if isinstance(explained, str) else explained
    return _pages(plan["Plan"])


def _pages(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
