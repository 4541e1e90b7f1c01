"""A supervised worker's end of the pipe to its supervisor."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from uuid import UUID

from taskworks.logs import steady_logger

logger = steady_logger(__name__)

# In the environment: the number of the pipe's descriptor, and which of the processes it is.
PIPE_VARIABLE, NUMBER_VARIABLE = "TASKWORKS_LIFELINE", "TASKWORKS_PROCESS_NUMBER"


class Lifeline:
    """
    Sends the supervisor the id by which the worker lives, and receives how often the supervisor
    has asked the worker to stop. The death of the supervisor asks once.

    A signal from elsewhere asks once too, and no more often: whoever stops a service may send a
    signal to all of its processes, and the supervisor passes on its own.

    ``number`` is 1 for the first process that it supervises.
    """

    def __init__(self, descriptor: int, number: int = 1) -> None:
        self._connection, self.number = Connection(descriptor), number
        self._not_yet_asked = {1, 2}  # the first time, the second time
        self._stop: Callable[[], None] = lambda: None
        # Programs that a task leaves behind must not hold the pipe open.
        os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._connection.close)

    @classmethod
    def given(cls) -> "Lifeline | None":
        """Return the lifeline that a supervisor has given to this process; None without one."""
        # Taken out of the environment, because what a task starts has no supervisor.
        descriptor = os.environ.pop(PIPE_VARIABLE, None)
        number = os.environ.pop(NUMBER_VARIABLE, "1")
        return cls(int(descriptor), int(number)) if descriptor else None

    def announce(self, worker: UUID) -> None:
        """Send that the worker lives by this id from now on."""
        with suppress(OSError):  # the supervisor is dead, which ``watch`` sees
            self._connection.send(worker)

    def watch(self, stop: Callable[[], None]) -> None:
        """Call ``stop`` each time that the worker is asked to stop, from now on."""
        self._stop = stop
        threading.Thread(target=self._listen, name="taskworks-lifeline", daemon=True).start()

    def ask_once(self) -> None:
        """Ask the worker to stop, unless it was asked before. Safe in a signal handler."""
        self._ask(1)

    def pass_on(self) -> None:
        """Leave it to the program that this process is about to execute in its own place."""
        os.set_inheritable(self._connection.fileno(), True)
        os.environ[PIPE_VARIABLE] = str(self._connection.fileno())
        os.environ[NUMBER_VARIABLE] = str(self.number)

    def _listen(self) -> None:
        try:
            while True:
                self._ask(self._connection.recv())
        except (EOFError, OSError):
            if 1 in self._not_yet_asked:
                logger.warning("The supervisor has ended without stopping this worker: it stops.")
            self._ask(1)

    def _ask(self, times: int) -> None:
        for time in range(1, times + 1):
            # Whoever comes second, in a thread or in a handler, does not find it any more.
            with suppress(KeyError):
                self._not_yet_asked.remove(time)
                self._stop()
