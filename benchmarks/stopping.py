"""
How soon a running task stops after it is cancelled: ``python -m benchmarks.stopping``.

One run at a time, in a worker that is otherwise idle, on SQLite.
"""

import logging
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROUNDS = 5


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as files:
        os.environ |= {"TASKWORKS_TEST_DATABASE": "sqlite", "TASKWORKS_TEST_FILES": files}
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        logging.disable()  # otherwise each cancellation would print a traceback
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            measure()
        finally:
            connection.creation.destroy_test_db(str(Path(files)), verbosity=0)


def measure() -> None:
    from benchmarks import tasks_of_stopping as tasks
    from taskworks import task_backends
    from taskworks.worker import Options, Queues, Sizes, Worker

    options = Options(queues=Queues(), interval=0.02, sizes=Sizes(task_processes=1))
    worker = Worker(task_backends["default"], options)
    working = threading.Thread(target=worker.run)
    working.start()
    try:
        for task in (
            tasks.spin,
            tasks.wait,
            tasks.sleep_in_a_process,
            tasks.hold_the_interpreter_of_a_process,
        ):
            seconds = sorted(_seconds_to_stop(task.enqueue) for _ in range(ROUNDS))
            middle, worst = median(seconds), seconds[-1]
            print(f"{task.name}: p50 {middle:.2f} s, worst of {ROUNDS} {worst:.2f} s")
    finally:
        worker.stop()
        working.join()


def _seconds_to_stop(enqueue: Callable[[], object]) -> float:
    from taskworks.models import TaskRun

    result = enqueue()
    run = TaskRun.objects.filter(id=result.id)
    _wait_for(run.filter(state="running").exists)
    started_at = time.monotonic()
    result.cancel()
    _wait_for(run.filter(state="cancelled").exists)
    return time.monotonic() - started_at


def _wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.005)


if __name__ == "__main__":
    main()
