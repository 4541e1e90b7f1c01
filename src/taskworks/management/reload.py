"""
Restart a worker when code changes: a parent that starts it again, a child that works and watches.

Not Django's run_with_reloader: its parent kills the child a moment after Ctrl-C, in the middle of
a run.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.apps import apps
from django.utils import autoreload

from taskworks.worker import Worker

CODE_HAS_CHANGED = 3  # the exit code of Django's reloader
LOOK_EVERY = 1.0  # seconds, as Django's reloader does


def is_parent() -> bool:
    """Whether this process is to start the worker in another one."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true"


def start_again_and_again(stop_signals: tuple[signal.Signals, ...]) -> None:
    """
    Run this command in a child, until that ends for another reason than changed code, or this
    process is to stop, be it between two children. Changed code that does not even start is waited
    for to change again.
    """
    asked: list[int] = []
    code = _start(stop_signals, asked)
    while code == CODE_HAS_CHANGED and not asked:
        files = _files()
        code = _start(stop_signals, asked)
        if code > 0 and code != CODE_HAS_CHANGED and not asked:
            sys.stderr.write("The worker has failed, and starts again when code changes.\n")
            _wait_for_a_change(files, asked)
            code = CODE_HAS_CHANGED
    sys.exit(0 if code == CODE_HAS_CHANGED else code)


def _files() -> dict[Path, float]:
    """When each module of this process or of an app was written: not all of these are imported."""
    imported = dict(autoreload.StatReloader().snapshot_files())
    of_apps = (path for app in apps.get_app_configs() for path in Path(app.path).rglob("*.py"))
    return {**imported, **{path: path.stat().st_mtime for path in of_apps if path.exists()}}


def _wait_for_a_change(files: dict[Path, float], asked: list[int]) -> None:
    """Or until this process is to stop."""
    while not asked and _files() == files:
        time.sleep(LOOK_EVERY)


def _start(stop_signals: tuple[signal.Signals, ...], asked: list[int]) -> int:
    # In a process group of its own, so that Ctrl-C reaches it once: from here.
    child = subprocess.Popen(  # noqa: S603 - this very command
        autoreload.get_child_arguments(),
        env={**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"},
        process_group=0,
    )

    def pass_on(number: int, frame: Any) -> None:
        asked.append(number)
        child.send_signal(number)

    for number in stop_signals:
        signal.signal(number, pass_on)
    for meanwhile in asked:
        child.send_signal(meanwhile)
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
