"""A supervised worker's end of the pipe to its supervisor."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from uuid import UUID

VARIABLE = "TASKWORKS_LIFELINE"  # of the environment, with the number of the pipe's descriptor


class Lifeline:
    """
    Says by which id the worker lives, and hears how often the supervisor has asked it to stop;
    that it has gone asks once.

    A signal from elsewhere asks once too, and not again: who stops a service may send one to all
    of its processes, and the supervisor passes on its own.
    """

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)
        self._unasked = {1, 2}
        self._stop: Callable[[], None] = lambda: None
        # Programs that a task leaves behind must not hold the pipe open.
        os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._connection.close)

    @classmethod
    def given(cls) -> "Lifeline | None":
        """The one that a supervisor has given to this process; None if it has none."""
        # Taken away, for what a task starts has no supervisor.
        descriptor = os.environ.pop(VARIABLE, None)
        return cls(int(descriptor)) if descriptor else None

    def tell(self, worker: UUID) -> None:
        """Say that the worker lives by this id from now on."""
        with suppress(OSError):  # nobody is left to hear it, which ``watch`` sees
            self._connection.send_bytes(worker.bytes)

    def watch(self, stop: Callable[[], None]) -> None:
        """Call ``stop`` each time that the worker is asked to, from now on."""
        self._stop = stop
        threading.Thread(target=self._listen, name="taskworks-lifeline", daemon=True).start()

    def ask_once(self) -> None:
        """Ask the worker to stop, unless it was asked before; also from a signal handler."""
        self._ask(1)

    def pass_on(self) -> None:
        """To the program that this process is about to execute in its own place."""
        os.set_inheritable(self._connection.fileno(), True)
        os.environ[VARIABLE] = str(self._connection.fileno())

    def _listen(self) -> None:
        try:
            while True:
                self._ask(self._connection.recv_bytes()[0])
        except (EOFError, OSError):
            self._ask(1)

    def _ask(self, times: int) -> None:
        for time in range(1, times + 1):
            # Whoever comes second, in a thread or in a handler, does not find it any more.
            with suppress(KeyError):
                self._unasked.remove(time)
                self._stop()
