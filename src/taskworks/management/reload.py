"""
Restart a worker when code changes: the parent process restarts a child, which works and watches.

Django's run_with_reloader is not used: its parent kills the child right after Ctrl-C, even in the
middle of a run.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.apps import apps
from django.utils import autoreload

from taskworks import real_time as time
from taskworks.worker import Worker

CODE_HAS_CHANGED = 3  # the exit code of Django's reloader
POLL_INTERVAL = 1.0  # seconds, as in Django's reloader


def is_parent() -> bool:
    """Return whether this process is the one that starts the worker in a child."""
    return os.environ.get(autoreload.DJANGO_AUTORELOAD_ENV) != "true"


def restart_on_changes(stop_signals: tuple[signal.Signals, ...]) -> None:
    """
    Run this command in a child, and again each time that code changes; then exit with the child's
    exit code.

    If the new code does not start, wait until it changes again. A stop signal ends this, also
    between two children.
    """
    received: list[int] = []
    code = _start(stop_signals, received)
    while code == CODE_HAS_CHANGED and not received:
        files = _files()
        code = _start(stop_signals, received)
        if code > 0 and code != CODE_HAS_CHANGED and not received:
            sys.stderr.write("The worker failed. It restarts when the code changes.\n")
            _wait_for_a_change(files, received)
            code = CODE_HAS_CHANGED
    sys.exit(0 if code == CODE_HAS_CHANGED else code)


def _files() -> dict[Path, float]:
    """
    Return when each module of this process, or of an app, was last modified.

    Modules of apps are included because not all of them are imported.
    """
    imported = dict(autoreload.StatReloader().snapshot_files())
    of_apps = (path for app in apps.get_app_configs() for path in Path(app.path).rglob("*.py"))
    return {**imported, **{path: path.stat().st_mtime for path in of_apps if path.exists()}}


def _wait_for_a_change(files: dict[Path, float], received: list[int]) -> None:
    """Wait until a file changes, or a stop signal arrives."""
    while not received and _files() == files:
        time.sleep(POLL_INTERVAL)


def _start(stop_signals: tuple[signal.Signals, ...], received: list[int]) -> int:
    # In its own process group, so that Ctrl-C reaches it only once, through pass_on.
    child = subprocess.Popen(  # noqa: S603 - this very command
        autoreload.get_child_arguments(),
        env={**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"},
        process_group=0,
    )

    def pass_on(number: int, frame: Any) -> None:
        received.append(number)
        child.send_signal(number)

    for number in stop_signals:
        signal.signal(number, pass_on)
    for earlier in received:  # before the handlers knew this child
        child.send_signal(earlier)
    return child.wait()


def work_and_watch(worker: Worker) -> None:
    """Run the worker in a thread, as Django's reloader needs it, until it ends or code changes."""
    reloader = autoreload.get_reloader()

    def work() -> None:
        try:
            worker.run()
        finally:
            reloader.stop()

    try:
        autoreload.start_django(reloader, work)
    except SystemExit:  # not at each file_changed: templates and translations end nothing
        _stop(worker)
        raise


def _stop(worker: Worker) -> None:
    worker.stop()
    if not worker.shutdown.over.wait(timeout=1):
        worker.stop()
        worker.shutdown.over.wait(timeout=5)
