"""Move the clock by which runs become due and expire."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from taskworks.database.clock import DatabaseClock, as_aware
from taskworks.store import store


class Clock:
    """The database's clock, as this process sees it. It ticks on from wherever it is moved to."""

    def now(self) -> datetime:
        """Its time."""
        return store().read_clock()

    def advance(self, by: timedelta = timedelta(), /, **units: float) -> None:
        """Move it ahead by a timedelta, or by what a timedelta is made of: ``hours=1``."""
        DatabaseClock.moved += by + timedelta(**units)

    def move_to(self, moment: datetime) -> None:
        """Move it to a moment; raise ValueError for one that is naive where USE_TZ is on."""
        if timezone.is_naive(moment) == settings.USE_TZ:
            kind = "aware" if settings.USE_TZ else "naive"
            raise ValueError(f"The clock cannot be moved to {moment!r}: it must be {kind}.")
        DatabaseClock.moved += as_aware(moment) - as_aware(self.now())


@contextmanager
def clock() -> Iterator[Clock]:
    """
    A clock that can be moved until the block ends; then the time is what it was before.

    It is the database's clock, by which Taskworks decides what is due and expired and writes its
    times, and as all threads of this process see it. ``timezone.now()`` stays what it is.
    """
    before = DatabaseClock.moved
    try:
        yield Clock()
    finally:
        DatabaseClock.moved = before
