"""Pause and resume for a person: what ``taskworks.control`` promises."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from taskworks import real_time
from taskworks.actions import scopes
from taskworks.database import clock
from taskworks.jsonvalue import can_be_stored
from taskworks.models import Pause
from taskworks.models.pause import Scope
from taskworks.polling import Timeout
from taskworks.store import store

HEEDED_WITHIN = 0.2  # seconds after which a worker begins no run of what was paused
MAX_REASON, MAX_BY = 1000, 255  # characters

Until = datetime | timedelta | None
Wait = tuple[Callable[[], bool], Timeout, Callable[[str], str]]


def pause(scope: Scope, *, until: Until, reason: str, by: str, wait: bool) -> Pause:
    """Pause this; with ``wait``, refuse it where nobody could wait for the runs in hand."""
    scopes.demand(scope)
    _refuse_bad_text("reason", reason, MAX_REASON)
    _refuse_bad_text("by", by, MAX_BY)
    end = stored_end(until)
    scopes.demand_room_for_key(scope)
    if wait:
        scopes.refuse_to_wait(scope)
    return store().pause(scope, until=end, reason=reason, by=by)


def end_of_runs(scope: Scope, timeout: Timeout) -> Wait:
    """Return how to wait until no run of what was just paused is in hand, or will be."""
    heeded_at = real_time.monotonic() + HEEDED_WITHIN

    def none_is_in_hand() -> bool:
        return real_time.monotonic() >= heeded_at and not store().has_in_hand(scope)

    def overdue(limit: str) -> str:
        return f"The {scope} is paused, but workers still have runs of it after {limit}."

    return none_is_in_hand, timeout, overdue


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
        raise ValueError(
            f"until must be in the future: {until} is not after {now}, the database's time."
        )
    return end


def _as_stored(until: Any) -> datetime:
    if not isinstance(until, datetime):
        raise TypeError(f"until must be a datetime, a timedelta or None, not {until!r}.")
    if timezone.is_aware(until):
        return clock.as_stored(until.astimezone(UTC))
    if settings.USE_TZ:
        raise ValueError(f"until must have a time zone, because USE_TZ is on: {until}.")
    return until


def _refuse_bad_text(name: str, text: Any, most: int) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string, not {text!r}.")
    if len(text) > most:
        raise ValueError(f"{name} must be at most {most} characters long, not {len(text)}.")
    if not can_be_stored(text):
        raise ValueError(f"{name} must not contain NUL or half of a surrogate pair: {text!r}.")
