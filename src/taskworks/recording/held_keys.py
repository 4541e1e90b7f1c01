"""Writes which keys tasks have closed."""

from collections.abc import Iterable
from datetime import datetime

from taskworks.execution import Attempt, Snoozed
from taskworks.store import Store


def hold_keys(store: Store, attempts: Iterable[Attempt]) -> None:
    """
    Close the keys of these attempts that are to be held, until their runs are due again. This comes
    before the runs are put back: nobody claims another run of the key in between.
    """
    until: dict[str, dict[str, datetime]] = {}
    for attempt in attempts:
        run = attempt.run
        match attempt.outcome:
            case Snoozed(holds_key=True) if run.limit_name is not None and run.lane is not None:
                lanes = until.setdefault(run.limit_name, {})
                lanes[run.lane] = max(lanes.get(run.lane, run.available_at), run.available_at)
    for limit, lanes in until.items():
        store.hold_keys(limit, lanes)
