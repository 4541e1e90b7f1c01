"""
What reporting progress adds to a loop, while a worker writes it: ``python -m benchmarks.progress``.

A loop of a million calls, in a task that a real worker executes in a thread, on SQLite.
"""

import os
import tempfile
from pathlib import Path
from statistics import median

CALLS, ROUNDS = 1_000_000, 5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as files:
        os.environ |= {"TASKWORKS_TEST_DATABASE": "sqlite", "TASKWORKS_TEST_FILES": files}
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            measure()
        finally:
            connection.creation.destroy_test_db(str(Path(files)), verbosity=0)


def measure() -> None:
    from benchmarks.tasks_of_progress import count
    from taskworks import task_backends
    from taskworks.worker import Options, Queues, Sizes, Worker

    results = count.enqueue_many([(CALLS,)] * ROUNDS)
    Worker(
        task_backends["default"], Options(queues=Queues(), sizes=Sizes(threads=1), batch=True)
    ).run()
    costs = {name: [] for name in ("bare", "set_progress", "inc_progress")}
    for result in results:
        result.refresh()
        for name, seconds in result.return_value.items():
            costs[name].append(seconds / CALLS)
    bare = median(costs.pop("bare"))
    for name, seconds in costs.items():
        added = median(seconds) - bare
        print(
            f"{name}: {added * 1e9:.0f} ns per call, amortized over {CALLS:,}; "
            f"a bare loop that counts takes {bare * 1e9:.0f} ns (medians of {ROUNDS})"
        )


if __name__ == "__main__":
    main()
