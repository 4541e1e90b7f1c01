"""Until when something that a person does holds, such as a pause."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from taskworks.database import clock
from taskworks.store import store

Until = datetime | timedelta | None


def stored_end(until: Until) -> datetime | None:
    """Return the end of a pause as it is stored; raise an error unless that is in the future."""
    if until is None:
        return None
    now = store().read_clock()
    try:
        end = clock.later(now, until) if isinstance(until, timedelta) else _as_stored(until)
    except OverflowError:
        raise ValueError(f"until must be before the year 10000, not {until!r}.") from None
    if end <= now:
        raise ValueError(_not_later(until, now))
    return end


def _not_later(until: datetime | timedelta, now: datetime) -> str:
    if isinstance(until, timedelta):
        seconds = f"{until.total_seconds():.6f}".rstrip("0").rstrip(".")
        return f"until must be in the future, not {seconds} seconds from now."
    return f"until must be in the future: {until} is not after {now}, the database's time."


def _as_stored(until: Any) -> datetime:
    if not isinstance(until, datetime):
        raise TypeError(f"until must be a datetime, a timedelta or None, not {until!r}.")
    if timezone.is_aware(until):
        return clock.as_stored(until.astimezone(UTC))
    if settings.USE_TZ:
        raise ValueError(f"until must have a time zone, because USE_TZ is on: {until}.")
    return until
