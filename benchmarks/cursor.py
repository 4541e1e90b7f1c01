"""
The cost of claims, with and without the claim cursor, while another session holds a transaction
open: ``python -m benchmarks.cursor [CLAIMS] [RUNS_PER_CLAIM]``, on PostgreSQL.
"""

import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

SOME = 500  # claims of each kind, at the beginning, in the middle and at the end
BATCH = 100  # runs finished in one statement


def main(claims: int, size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as files:
        os.environ |= {"TASKWORKS_TEST_DATABASE": "postgresql", "TASKWORKS_TEST_FILES": files}
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            for is_held in (False, True):
                measure(claims, size, is_held=is_held)
        finally:
            connection.creation.destroy_test_db(str(Path(files)), verbosity=0)


def measure(claims: int, size: int, *, is_held: bool) -> None:
    from django.db import connection

    from taskworks.models import TaskRun
    from tests.tasks import noop

    TaskRun.objects.all()._raw_delete("default")
    noop.enqueue_many([()] * (claims * size))
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {TaskRun._meta.db_table}")
    other = connection.copy()
    try:
        if is_held:
            with other.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                cursor.execute(f"SELECT 1 FROM {TaskRun._meta.db_table} LIMIT 1")
        plain, guided = alternate(claims, size)
    finally:
        other.close()
    held = "a transaction is open" if is_held else "no transaction is open"
    print(f"{claims} claims of {size} while {held}, median milliseconds:")
    for name, part in (
        ("first", slice(0, SOME)),
        ("middle", slice(len(plain) // 2 - SOME // 2, len(plain) // 2 + SOME // 2)),
        ("last", slice(-SOME, None)),
    ):
        one, other_ = median(plain[part]) * 1e3, median(guided[part]) * 1e3
        print(
            f"  {name:>6}: {one:6.2f} plain, {other_:6.2f} with a cursor: {one / other_:.1f} to 1"
        )
    print(
        f"     all: {sum(plain):6.2f} s plain, {sum(guided):6.2f} s with a cursor: "
        f"{sum(plain) / sum(guided):.1f} to 1"
    )


def alternate(claims: int, size: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each claim, without a cursor and with one."""
    from uuid import uuid4

    from taskworks.models import TaskRun, Worker
    from taskworks.store import store
    from taskworks.worker.claiming.cursor import ClaimCursor

    worker = Worker(id=uuid4(), label="of a benchmark", hostname="here", pid=1)
    store().register(worker)
    database, cursor = store(), ClaimCursor()
    times: tuple[list[float], list[float]] = [], []
    claimed: list[TaskRun] = []
    for number in range(claims):
        begin = time.perf_counter()
        claim = partial(database.claim, worker.id, "default", ["default"])
        room = {"thread": size}
        if number % 2:
            runs = cursor.claim(
                lambda room, limit, places, claim=claim: claim(room, limit, places=places),
                room,
                size,
            )
        else:
            runs = claim(room)
        times[number % 2].append(time.perf_counter() - begin)
        assert len(runs) == size
        claimed += runs
        if len(claimed) >= BATCH:
            for run in claimed:
                run.state, run.finished_at = "successful", run.claimed_at
            assert len(database.finish(claimed)) == len(claimed)
            claimed = []
    return times


if __name__ == "__main__":
    main(*[int(argument) for argument in sys.argv[1:]] or [10_000, 1])
