"""A background thread that uses the database."""

import math
import threading
from abc import ABC, abstractmethod
from contextlib import nullcontext, suppress
from typing import ClassVar, Protocol

from django.db import Error as DatabaseError
from django.db import connections

from taskworks.database.connections import close_unusable, own_connections
from taskworks.database.outage import Outage
from taskworks.logs import steady_logger

logger = steady_logger(__name__)


class WakeUpEvent(Protocol):
    """What a thread waits for between two steps; ``threading.Event`` is one."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class BackgroundThread(threading.Thread, ABC):
    """
    A daemon thread that repeats its ``step`` until it is stopped, with a database connection that
    no task can use.

    No exception ends it. A database error is logged once a minute, any other exception with its
    traceback; then the step is tried again, after a pause that grows to ten seconds. After an
    exception between two steps the thread starts over.
    """

    keeps_connection: ClassVar = False  # between two steps; if False each step has a new one
    stop_timeout = 2.0  # seconds that ``stop`` waits for a step under way

    def __init__(
        self, name: str, alias: str, activity: str, woken: WakeUpEvent | None = None
    ) -> None:
        """
        Use the database ``alias``; ``activity`` says in logs what the thread does, as in "firing
        schedules"; ``woken`` is the event that interrupts a pause.
        """
        super().__init__(name=f"taskworks-{name}", daemon=True)
        self.alias, self.activity = alias, activity
        self.outage = Outage(activity)
        self.is_stopping = False
        self.woken = woken or threading.Event()

    @abstractmethod
    def step(self) -> float:
        """
        Do what is to be done now; return the seconds until the next step, infinite to wait for
        ``wake``. A long step looks at ``is_stopping``.
        """

    def first_pause(self) -> float:
        """Return the seconds until the first step."""
        return 0.0

    def pause_after_failure(self, seconds: float) -> float:
        """Return the seconds until a failed step is tried again; ``seconds`` are proposed."""
        return seconds

    # Called in any thread.

    def wake(self) -> None:
        """End the pause, so that the next step begins at once."""
        self.woken.set()

    def stop(self) -> None:
        """Begin no more steps; wait ``stop_timeout`` seconds at most for one under way."""
        self.is_stopping = True
        self.wake()
        if self.is_alive():
            self.join(self.stop_timeout)

    # Called in this thread.

    def rest(self, seconds: float) -> bool:
        """Pause until the thread is woken or ``seconds`` are over; return False if it is to end."""
        if not self.is_stopping:
            self.woken.wait(None if seconds == math.inf else seconds)
            self.woken.clear()  # before the step reads what it was woken for
        return not self.is_stopping

    def run(self) -> None:
        while not self.is_stopping:
            try:
                self._live()
            except BaseException:  # SystemExit would end the thread without a word
                logger.exception("Unexpected error while %s; starting over.", self.activity)
                self.rest(self.outage.next_pause())

    def _live(self) -> None:
        if self.keeps_connection:
            with own_connections(self.alias):
                with suppress(DatabaseError):  # before tasks may have used up all that there are
                    connections[self.alias].ensure_connection()
                self._repeat()
        else:
            self._repeat()

    def _repeat(self) -> None:
        pause = self.first_pause()
        while self.rest(pause):
            pause = self.try_step()

    def try_step(self) -> float:
        """Do a step, whatever it raises; return the seconds until the next."""
        try:
            with nullcontext() if self.keeps_connection else own_connections(self.alias):
                pause = self.step()
        except DatabaseError as error:
            pause = self.pause_after_failure(self.outage.note_error(error))
        except Exception:
            logger.exception("Unexpected error while %s; retrying.", self.activity)
            pause = self.pause_after_failure(self.outage.next_pause())
        else:
            self.outage.clear()
        close_unusable(connections.all(initialized_only=True))
        return pause
