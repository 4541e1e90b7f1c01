"""
Restart a worker when code changes: a parent that starts it again, a child that works and watches.

Not Django's run_with_reloader: its parent kills the child a moment after Ctrl-C, in the middle of
a run.
"""

import os
import signal
import subprocess
import sys
from typing import Any

from django.utils import autoreload

from taskworks.worker import Worker

CODE_HAS_CHANGED = 3  # the exit code of Django's reloader


def is_parent() -> bool:
    """Whether this process is to start the worker in another one."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true"


def start_again_and_again(stop_signals: tuple[signal.Signals, ...]) -> None:
    """Run this command in a child, until that ends for another reason than changed code."""
    code = CODE_HAS_CHANGED
    while code == CODE_HAS_CHANGED:
        code = _start(stop_signals)
    sys.exit(code)


def _start(stop_signals: tuple[signal.Signals, ...]) -> int:
    # In a process group of its own, so that Ctrl-C reaches it once: from here.
    child = subprocess.Popen(  # noqa: S603 - this very command
        autoreload.get_child_arguments(),
        env={**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"},
        process_group=0,
    )
    for number in stop_signals:
        signal.signal(number, lambda number, frame: child.send_signal(number))
    return child.wait()


def work_and_watch(worker: Worker) -> None:
    """Run the worker in a thread, as Django's reloader wants it, until it ends or code changes."""
    reloader = autoreload.get_reloader()

    def work() -> None:
        try:
            worker.run()
        finally:
            reloader.stop()

    def stop_first(**kwargs: Any) -> None:
        worker.stop()
        if not worker.shutdown.over.wait(timeout=1):
            worker.stop()
            worker.shutdown.over.wait(timeout=5)

    autoreload.file_changed.connect(stop_first, weak=False)
    autoreload.start_django(reloader, work)
