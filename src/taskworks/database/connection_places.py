"""
How many coroutine functions hold database connections at once.

Each has a thread of its own, and so connections of its own. The first of them takes a place, the
others share that, so nobody who has a place waits for one. The place is free again as soon as all
of these connections are closed.
"""

import threading
from collections import deque
from contextlib import suppress

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import real_time as time
from taskworks.database.exhaustion import NoPlaceLeftError
from taskworks.logs import steady_logger

PATIENCE = 300.0  # seconds to wait for a place; after them, those who wait for each other let go
LONG_WAIT = 10.0  # seconds until a wait is worth a line in the log
LOG_INTERVAL = 60.0  # seconds between two such lines

logger = steady_logger(__name__)


class ConnectionPlaces:
    """A number of places, which those who wait get in the order in which they came."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.lock = threading.Lock()
        self._free = number
        self._waiting: deque[Place] = deque()
        self._is_closed = False
        self._logged_at = float("-inf")

    @property
    def are_wanted(self) -> bool:
        """True if somebody waits for a place."""
        return bool(self._waiting)

    def close(self) -> None:
        """End all waits, now and later."""
        with self.lock:
            self._is_closed = True
            while self._waiting:
                self._waiting.popleft().answered.set()

    def log_long_wait(self) -> None:
        """Log, once a minute, that there are too few places."""
        if time.monotonic() - self._logged_at > LOG_INTERVAL:
            self._logged_at = time.monotonic()
            logger.warning(
                "%d coroutine functions wait for a database connection: %d hold connections, as "
                "many as --async-connections says.",
                len(self._waiting),
                self.number,
            )

    # With the lock.

    def ask(self, place: "Place") -> bool:
        """Return whether there is a place now; if there is none, it is given later."""
        if self._free and not self._waiting:
            self._free -= 1
            return True
        if not self._is_closed:
            place.answered.clear()
            self._waiting.append(place)
        return False

    def withdraw(self, place: "Place") -> None:
        """Forget this one: it gets no place."""
        with suppress(ValueError):
            self._waiting.remove(place)

    def pass_on(self) -> None:
        """Give a free place to the first one in line."""
        if self._waiting:
            self._waiting.popleft().give()
        else:
            self._free += 1


class Place:
    """The place of one coroutine function, which is taken and left in its thread."""

    def __init__(self, places: ConnectionPlaces) -> None:
        self._places = places
        self._connections: list[BaseDatabaseWrapper] = []
        self._is_taken = self._is_over = False
        self.answered = threading.Event()  # not set while it waits
        self.answered.set()

    def end(self) -> None:
        """Wait no longer: the coroutine function has ended. Called in any thread."""
        with self._places.lock:
            self._is_over = True
            self._places.withdraw(self)
            self.answered.set()

    def leave(self) -> None:
        """Leave the place to others, if it is taken. Called in any thread."""
        with self._places.lock:
            if self._is_taken:
                self._is_taken = False
                self._places.pass_on()

    def give(self) -> None:
        """Get the place, which another has left. Called with the lock of the places."""
        self._is_taken = True
        self.answered.set()

    # In the thread.

    def guard_connections(self) -> None:
        """Have the connections of this thread, which is new, take the place and leave it."""
        _here.place = self
        for alias in connections:
            with suppress(Exception):  # of an engine that does not work, as its user will see
                if connections[alias].vendor != "sqlite":  # it has no server, and so no limit
                    self._guard(connections[alias])

    def give_way(self) -> None:
        """Close the connections if others want the place, unless one is in a transaction."""
        opened = self._opened()
        is_bound = any(c.in_atomic_block or not c.get_autocommit() for c in opened)
        if self._places.are_wanted and not is_bound:
            for connection in opened:
                connection.close()

    def _guard(self, connection: BaseDatabaseWrapper) -> None:
        connect, close = connection.connect, connection.close

        def connect_in_place() -> None:
            self._take()
            try:
                connect()
            finally:
                self._leave_if_closed()

        def close_and_leave() -> None:
            try:
                close()
            finally:
                self._leave_if_closed()

        connection.connect = connect_in_place  # type: ignore[method-assign]
        connection.close = close_and_leave  # type: ignore[method-assign]
        self._connections.append(connection)

    def _take(self) -> None:
        with self._places.lock:
            self._is_taken = self._is_taken or (not self._is_over and self._places.ask(self))
        if not self._is_taken:
            self._wait()

    def _wait(self) -> None:
        if not self.answered.wait(LONG_WAIT):
            self._places.log_long_wait()
            self.answered.wait(PATIENCE - LONG_WAIT)
        with self._places.lock:
            self._places.withdraw(self)
            if self._is_taken:
                return
        raise NoPlaceLeftError(
            f"No database connection became free within {PATIENCE:g} s: "
            f"{self._places.number} coroutine functions hold connections, as many as "
            "--async-connections says."
        )

    def _opened(self) -> list[BaseDatabaseWrapper]:
        return [connection for connection in self._connections if connection.connection]

    def _leave_if_closed(self) -> None:
        if not self._opened():
            self.leave()


class _Here(threading.local):
    place: Place | None = None


_here = _Here()


def give_way() -> None:
    """
    Close this thread's connections if it is that of a coroutine function and others want its place,
    unless it is in a transaction: it is about to wait for something that may need the place.
    """
    if _here.place:
        _here.place.give_way()
