"""Child processes of a management command: started, watched, stopped politely."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from django.conf import settings

# A worker gives the runs under way 25 seconds; after twice that it is not going to stop.
PATIENCE = 50.0


class ProcessEndedError(Exception):
    """A child process ended that should have gone on."""


class ManagedProcess:
    """`python <arguments>`, in a process of its own."""

    def __init__(self, name: str, *arguments: str, environ: Mapping[str, str] | None = None):
        self.name = name
        # In a session of its own, or Ctrl-C would reach it as well, and it would be stopped twice.
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )

    def must_be_alive(self) -> None:
        exit_code = self.process.poll()
        if exit_code is not None:
            raise ProcessEndedError(f"The {self.name} ended by itself, with exit code {exit_code}.")

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def start_worker(*, threads: int, verbosity: int) -> ManagedProcess:
    options = ("--threads", str(threads), "--verbosity", str(verbosity))
    manage = str(settings.BASE_DIR / "manage.py")
    return ManagedProcess("worker", manage, "taskworks", "worker", *options)


def start_web_server(*, port: int) -> ManagedProcess:
    """An ASGI server, for the events of the API are streams."""
    return ManagedProcess(
        "web server",
        "-m",
        "uvicorn",
        "project.asgi:application",
        *("--app-dir", str(settings.BASE_DIR)),
        *("--port", str(port)),
        *("--log-level", "warning"),
        # An open stream does not end by itself.
        *("--timeout-graceful-shutdown", "1"),
        environ={"EXAMPLE_DEBUG": "1"},
    )


@contextmanager
def stopped_at_the_end(child: ManagedProcess) -> Iterator[None]:
    try:
        yield
    finally:
        child.stop()


@contextmanager
def sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM unwind the stack too, so that no child is left behind."""
    previous = signal.signal(signal.SIGTERM, raise_keyboard_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def raise_keyboard_interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
