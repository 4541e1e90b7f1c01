"""A child process, and this end of the pipe to it."""

import multiprocessing
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from taskworks.database.importing import no_fork


class Line:
    """This process's end of a pipe to a child process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._sending = threading.Lock()

    def send(self, message: Any) -> None:
        """Send a message, unless the process has ended, which ``receive`` will show."""
        with self._sending, suppress(OSError):
            self.connection.send(message)

    def receive(self, within: float | None = None) -> Any:
        """Return its next message; raise EOFError or OSError if it has ended, or sends none."""
        if within is not None and not self.connection.poll(within):
            raise TimeoutError(f"A child process sends nothing for {within} s.")
        return self.connection.recv()

    def close(self) -> None:
        """End the pipe, even if a process that was forked from this one holds it open too."""
        with self._sending:
            with suppress(OSError), socket.socket(fileno=os.dup(self.connection.fileno())) as pipe:
                pipe.shutdown(socket.SHUT_RDWR)
            self.connection.close()


class PipedProcess(Line):
    """
    A process with a pipe to this one, whose end tells each side of the other's death. It has a
    process group of its own, so that Ctrl-C in a terminal does not reach it. Spawned, never forked.
    """

    def __init__(
        self,
        command: Sequence[str],
        variable: str,
        environment: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """
        Start the command, whose environment has the number of the pipe's descriptor in
        ``variable``, and what ``environment`` says; ``options`` are those of ``subprocess.Popen``.
        Raise OSError if it cannot be started.
        """
        with no_fork():  # a process that held the other end open would hide this one's death
            ours, theirs = multiprocessing.Pipe()
            super().__init__(ours)
            try:
                with theirs:
                    self._process = subprocess.Popen(  # noqa: S603 - our own words
                        command,
                        env={
                            **os.environ,
                            variable: str(theirs.fileno()),
                            **(environment or {}),
                        },
                        pass_fds=[theirs.fileno()],
                        process_group=0,
                        **options,
                    )
            except BaseException:
                self.connection.close()
                raise

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it lives."""
        return self._process.poll()

    def wait(self, seconds: float) -> int:
        """Return its exit code; end it, and all that it has started, if it lives after that."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill_group()
            return self._process.wait()

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def kill_group(self) -> None:
        """End it at once, and what it has started and left in its process group."""
        if self.exit_code is None:  # or its number may be another's by now
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


def exit_in_words(exit_code: int) -> str:
    """Return how a process ended: "ended with exit code 1", "was ended by SIGKILL"."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"was ended by signal {-exit_code}"
