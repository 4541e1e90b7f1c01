"""
A table as it may be after a year, with millions of finished and scheduled runs.

They are copies of a real run, created by the database. The functions are called in the producer.
"""

import json
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from benchmarks import bare, databases
from benchmarks.systems.taskworks import Taskworks

PREFIX = "01900000-0000-7000-8000-"  # of ids that are earlier than those of new runs
LAST_COPY = UUID("01900000-ffff-7fff-bfff-ffffffffffff")
ROWS_PER_STATEMENT = 100_000
BACKLOG = 1_000  # ready runs, of which 100 are claimed

HEXADECIMAL = {
    "postgresql": "('{prefix}' || lpad(to_hex(n), 12, '0'))::uuid",
    "mysql": "CONCAT('{prefix}', LPAD(LOWER(HEX(n)), 12, '0'))",
    "sqlite": "'{plain}' || printf('%012x', n)",
}
EARLIER = {
    "postgresql": "{column} - n * interval '50 milliseconds'",
    "mysql": "{column} - INTERVAL n * 50000 MICROSECOND",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', {column}, '-' || (n * 0.05) || ' seconds')",
}
LATER = {
    "postgresql": "{column} + n * interval '1 second'",
    "mysql": "{column} + INTERVAL n SECOND",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', {column}, '+' || n || ' seconds')",
}


def fill(system: Taskworks, finished: int, scheduled: int) -> None:
    """Empty the table, and insert this many runs."""
    system.clear()
    _finish_one(system)
    _copy(finished, 0, EARLIER, ("enqueued_at", "available_at", "started_at", "finished_at"))
    _only_copies()
    system.noop.using(run_after=timedelta(days=1)).enqueue(0, "hello-world")
    _copy(scheduled, finished, LATER, ("available_at", "run_after"))
    _only_copies()
    databases.settle(system.place)


def forget_backlog(system: Taskworks) -> None:
    """Delete everything that ``fill`` has not inserted."""
    from taskworks.models import Worker

    _only_copies()
    Worker.objects.all().delete()


def cost_of_claim(system: Taskworks) -> dict[str, float]:
    """Return what a claim of 100 runs reads, as counted by the database, and how long it takes."""
    from django.db import connection

    forget_backlog(system)
    claim, _ = bare.verbs(system)
    forget_backlog(system)
    bare.register(system)
    system.seconds_to_enqueue_many(BACKLOG)
    databases.settle(system.place)
    costs = {"ms": min(_milliseconds(claim) for _ in range(5))}
    if connection.vendor == "postgresql":
        costs |= _buffers(claim)
    elif connection.vendor == "mysql":
        costs |= _rows_read(claim)
    forget_backlog(system)
    return costs


# Filling the table.


def _finish_one(system: Taskworks) -> None:
    bare.verbs(system)
    from taskworks.models import TaskRun, Worker

    one = TaskRun.objects.successful()[0]
    TaskRun.objects.exclude(id=one.id)._raw_delete("default")
    Worker.objects.all().delete()


def _copy(count: int, offset: int, moved: dict[str, str], columns: tuple[str, ...]) -> None:
    """Insert ``count`` copies of the only run that is not a copy."""
    from django.db import connection

    from taskworks.models import TaskRun

    quote, vendor = connection.ops.quote_name, connection.vendor
    names = [field.column for field in TaskRun._meta.concrete_fields]
    values = {name: quote(name) for name in names}
    values["id"] = HEXADECIMAL[vendor].format(prefix=PREFIX, plain=PREFIX.replace("-", ""))
    for name in columns:
        values[name] = moved[vendor].format(column=quote(name))
    table = quote(TaskRun._meta.db_table)
    original = TaskRun.objects.get(id__gt=LAST_COPY).id
    [own] = bare.prepared("id", [original])
    _allow_recursion()
    for start in range(offset, offset + count, ROWS_PER_STATEMENT):
        end = min(start + ROWS_PER_STATEMENT, offset + count)
        statement = (
            f"INSERT INTO {table} ({', '.join(map(quote, names))}) "
            f"WITH RECURSIVE series (n) AS (SELECT {start} UNION ALL "
            f"SELECT n + 1 FROM series WHERE n < {end - 1}) "
            f"SELECT {', '.join(values[name] for name in names)} "
            f"FROM {table} CROSS JOIN series WHERE id = "
        )
        with connection.cursor() as cursor:
            cursor.execute(statement.replace("%", "%%") + "%s", [own])


def _allow_recursion() -> None:
    from django.db import connection

    if connection.vendor == "mysql":
        name = (
            "max_recursive_iterations" if connection.mysql_is_mariadb else "cte_max_recursion_depth"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {name} = {ROWS_PER_STATEMENT}")


def _only_copies() -> None:
    from taskworks.models import TaskRun

    TaskRun.objects.filter(id__gt=LAST_COPY)._raw_delete("default")


# Measuring a claim.


def _milliseconds(claim: bare.Verb) -> float:
    """Claim, and roll back; return the milliseconds of the claim."""
    driver = bare.Driver()
    driver.begin()
    begin = time.perf_counter()
    claim.send(driver, within=True)
    took = time.perf_counter() - begin
    driver.roll_back()
    driver.close()
    return took * 1000


def _buffers(claim: bare.Verb) -> dict[str, float]:
    driver = bare.Driver()
    driver.begin()
    plan = _explained(driver, claim)
    driver.roll_back()
    driver.close()
    reading = _find(plan, "LockRows") or plan
    return {"buffers": _touched(plan), "buffers to find the runs": _touched(reading)}


def _explained(driver: "bare.Driver", claim: bare.Verb) -> dict[str, Any]:
    plan = driver.first_value("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ", claim)
    plan = json.loads(plan) if isinstance(plan, str) else plan
    return plan[0]["Plan"]


def _touched(plan: dict[str, Any]) -> int:
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _find(plan: dict[str, Any], node: str) -> dict[str, Any] | None:
    if plan["Node Type"] == node:
        return plan
    return next((found for part in plan.get("Plans", ()) if (found := _find(part, node))), None)


def _rows_read(claim: bare.Verb) -> dict[str, float]:
    """Return the rows read, as counted by MariaDB's handlers in this session."""
    driver = bare.Driver()
    driver.begin()
    before = _handlers(driver)
    claim.send(driver, within=True)
    read = _handlers(driver) - before
    driver.roll_back()
    driver.close()
    return {"rows read": read}


def _handlers(driver: "bare.Driver") -> int:
    rows = driver.fetch("SHOW SESSION STATUS LIKE 'Handler_read%'")
    return sum(int(value) for _, value in rows)
