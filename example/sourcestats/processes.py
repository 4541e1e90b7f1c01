"""Child processes of a management command: start, watch and stop them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from django.conf import settings

# Twice the time that a worker gives running tasks by default.
STOP_TIMEOUT = 50.0  # seconds


class ProcessEndedError(Exception):
    """A child process ended unexpectedly."""


class ManagedProcess:
    """A child process that executes `python <arguments>`."""

    def __init__(self, name: str, *arguments: str, environ: Mapping[str, str] | None = None):
        self.name = name
        # In its own session: otherwise Ctrl-C would reach it too, and it would be stopped twice.
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )

    def must_be_alive(self) -> None:
        exit_code = self.process.poll()
        if exit_code is not None:
            raise ProcessEndedError(f"The {self.name} ended with exit code {exit_code}.")

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_worker(*, threads: int, verbosity: int) -> ManagedProcess:
    options = ("--threads", str(threads), "--verbosity", str(verbosity))
    manage = str(settings.BASE_DIR / "manage.py")
    return ManagedProcess("worker", manage, "taskworks", "worker", *options)


def start_shop() -> ManagedProcess:
    return ManagedProcess("shop", str(settings.BASE_DIR / "manage.py"), "shop")


def start_web_server(*, port: int) -> ManagedProcess:
    """Start an ASGI server, which can stream the API's events."""
    return ManagedProcess(
        "web server",
        "-m",
        "uvicorn",
        "project.asgi:application",
        *("--app-dir", str(settings.BASE_DIR)),
        *("--port", str(port)),
        *("--log-level", "warning"),
        # Do not wait for a browser that does not read the end of its streams.
        *("--timeout-graceful-shutdown", "1"),
        environ={"EXAMPLE_DEBUG": "1"},
    )


@contextmanager
def stopped_at_the_end(child: ManagedProcess) -> Iterator[ManagedProcess]:
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that the child processes are stopped."""
    previous = signal.signal(signal.SIGTERM, raise_keyboard_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def raise_keyboard_interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
