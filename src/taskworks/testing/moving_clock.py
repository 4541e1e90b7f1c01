"""Move the clock that decides which runs are due and expired."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from taskworks.database.clock import DatabaseClock, as_aware
from taskworks.store import store


class Clock:
    """Python's clock, moved. It goes on from wherever it is moved to, unless it is frozen."""

    def now(self) -> datetime:
        """Return the time."""
        return store().read_clock()

    def advance(self, by: timedelta = timedelta(), /, **units: float) -> None:
        """Move the clock ahead by a timedelta, or by its arguments, such as ``hours=1``."""
        DatabaseClock.moved += by + timedelta(**units)

    def move_to(self, moment: datetime) -> None:
        """Move the clock to a time; raise ValueError if it is naive although USE_TZ is on."""
        if timezone.is_naive(moment) == settings.USE_TZ:
            kind = "aware" if settings.USE_TZ else "naive"
            raise ValueError(f"The clock can only be moved to {kind} datetimes, not to {moment!r}.")
        DatabaseClock.moved += as_aware(moment) - as_aware(self.now())


@contextmanager
def clock() -> Iterator[Clock]:
    """
    A clock that can be moved until the block ends; then the time is restored.

    It decides what is due and expired, and gives all times that Taskworks writes. All threads of
    this process see it. ``timezone.now()`` is not changed; freezegun and time-machine change both.
    """
    before = DatabaseClock.moved
    try:
        yield Clock()
    finally:
        DatabaseClock.moved = before
