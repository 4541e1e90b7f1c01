"""Time goes on for the database and for workers of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from taskworks.database.clock import DatabaseClock


@contextmanager
def later_by(seconds: float) -> Iterator[None]:
    """Within the block it is later."""
    before = DatabaseClock.moved
    DatabaseClock.moved = before + timedelta(seconds=seconds)
    try:
        yield
    finally:
        DatabaseClock.moved = before
