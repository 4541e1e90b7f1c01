"""Pause and resume for a person: what ``taskworks.control`` promises."""

from collections.abc import Callable

from taskworks import real_time
from taskworks.actions import scopes
from taskworks.actions.texts import refuse_bad_text
from taskworks.actions.until import Until, stored_end
from taskworks.models import Pause
from taskworks.models.pause import Scope
from taskworks.polling import Timeout
from taskworks.store import store

HEEDED_WITHIN = 0.2  # seconds after which a worker begins no run of what was paused
MAX_REASON, MAX_BY = 1000, 255  # characters

Wait = tuple[Callable[[], bool], Timeout, Callable[[str], str]]


def pause(scope: Scope, *, until: Until, reason: str, by: str, wait: bool) -> Pause:
    """Pause this; with ``wait``, refuse it where nobody could wait for the runs in hand."""
    scopes.demand(scope)
    refuse_bad_text("reason", reason, MAX_REASON)
    refuse_bad_text("by", by, MAX_BY)
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
