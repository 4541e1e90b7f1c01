"""Pause and resume for a person: what ``taskworks.control`` promises."""

from collections.abc import Callable
from datetime import datetime

from django.db import Error as DatabaseError

from taskworks import real_time
from taskworks.actions import scopes
from taskworks.actions.texts import refuse_bad_text
from taskworks.actions.until import Until, stored_end
from taskworks.backends.shards import Failing, databases_of, in_each, prepared_in_each
from taskworks.database.shards import using
from taskworks.models import Pause
from taskworks.models.pause import Scope
from taskworks.polling import Timeout
from taskworks.store import store, store_alias

HEEDED_WITHIN = 0.2  # seconds after which a worker begins no run of what was paused
MAX_REASON, MAX_BY = 1000, 255  # characters

Wait = tuple[Callable[[], bool], Timeout, Callable[[str], str]]


def pause(
    scope: Scope,
    *,
    until: Until,
    reason: str,
    by: str,
    wait: bool,
    failing: Failing | None = None,
) -> Pause:
    """
    Pause this; with ``wait``, refuse it where nobody could wait for the runs in hand. Note in
    ``failing``, if it is given, the databases in which that has failed, unless it has in all.
    """
    scopes.demand(scope)
    refuse_bad_text("reason", reason, MAX_REASON)
    refuse_bad_text("by", by, MAX_BY)
    if wait:
        scopes.refuse_to_wait(scope)

    def end_where_there_is_room() -> datetime | None:
        end = stored_end(until)  # by each database's clock
        scopes.demand_room_for_key(scope)
        return end

    def paused(end: datetime | None) -> Pause:
        return store().pause(scope, until=end, reason=reason, by=by)

    where = databases_of(scope)
    return prepared_in_each(end_where_there_is_room, paused, where, failing=failing)[0]


def refuse_end(scope: Scope, until: Until) -> None:
    """Raise ValueError if ``pause`` would refuse this end, in a database that answers."""
    in_each(lambda: stored_end(until), databases_of(scope), failing={})


def refuse_key(scope: Scope) -> None:
    """Raise ValueError if ``pause`` would refuse one more key, in a database that answers."""
    in_each(lambda: scopes.demand_room_for_key(scope), databases_of(scope), failing={})


def resume(scope: Scope, *, failing: Failing | None = None) -> bool:
    """End the pause of this; return False if it was not paused. ``failing`` is as of ``pause``."""
    return any(in_each(lambda: store().resume(scope), databases_of(scope), failing=failing))


def resume_elsewhere(scope: Scope, *, failing: Failing) -> None:
    """Resume in all databases but the one that is meant here; note errors in ``failing``."""
    others = [one for one in databases_of(scope) if one != store_alias()]
    for alias in others:
        try:
            with using(alias):
                store().resume(scope)
        except DatabaseError as error:
            failing[alias] = error


def pauses() -> list[Pause]:
    """Return the pauses in force."""
    found = in_each(lambda: [*store().pauses.in_force().order_by("backend", "kind", "name", "key")])
    return [pause for some in found for pause in some]


def end_of_runs(scope: Scope, timeout: Timeout) -> Wait:
    """Return how to wait until no run of what was just paused is in hand, or will be."""
    heeded_at = real_time.monotonic() + HEEDED_WITHIN

    def none_is_in_hand() -> bool:
        return real_time.monotonic() >= heeded_at and not any(
            in_each(lambda: store().has_in_hand(scope), databases_of(scope))
        )

    def overdue(limit: str) -> str:
        return f"The {scope} is paused, but workers still have runs of it after {limit}."

    return none_is_in_hand, timeout, overdue
