"""
How much faster a run is enqueued by ``enqueue_many`` than by ``enqueue``, each committed:
``python -m benchmarks.bulk [sqlite | postgresql | mariadb]``.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS = 3
SINGLE, MANY = 2_000, 100_000  # runs in a round


def main(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as files:
        os.environ |= {"TASKWORKS_TEST_DATABASE": name, "TASKWORKS_TEST_FILES": files}
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            measure(name)
        finally:
            connection.creation.destroy_test_db(str(Path(files)), verbosity=0)


def measure(name: str) -> None:
    """Alternate, so that whatever slows the machine slows both."""
    from taskworks.models import TaskRun
    from tests.tasks import add

    def single() -> None:
        for number in range(SINGLE):
            add.enqueue(number, 1)

    def many() -> None:
        assert len(add.enqueue_many([(number, 1) for number in range(MANY)])) == MANY

    singles, manies = [], []
    for _ in range(ROUNDS):
        singles.append(seconds(single) / SINGLE)
        manies.append(seconds(many) / MANY)
        TaskRun.objects.all()._raw_delete("default")
    one, each = median(singles), median(manies)
    print(
        f"{name}: enqueue {one * 1e6:.0f} µs a run, enqueue_many of {MANY:,} "
        f"{each * 1e6:.0f} µs a run: {one / each:.1f} times as fast (medians of {ROUNDS})"
    )


def seconds(do: Callable[[], None]) -> float:
    begin = time.perf_counter()
    do()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(*sys.argv[1:] or ["sqlite"])
