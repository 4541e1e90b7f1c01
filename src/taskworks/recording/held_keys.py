"""Closes the keys of limits that tasks hold."""

import math
from collections.abc import Iterable
from datetime import datetime

from taskworks import real_time as time
from taskworks.execution import Attempt, Snoozed
from taskworks.store import Store

TRY_INTERVAL = 0.005  # seconds between two tries to have the lock of a limit


class HeldKeys:
    """
    Closes a key before its run is put back, so that nobody claims another run of it in between. A
    run waits for that while another session has the lock of its limit, and holds up no other.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.closed: set[tuple[str, str]] = set()  # limits and lanes, until somebody clears it
        self._locked: set[str] = set()  # limits
        self._try_at = math.inf

    def __bool__(self) -> bool:
        return bool(self._locked)

    @property
    def seconds(self) -> float:
        """Seconds until the next try; infinite if no limit is locked."""
        return self._try_at - time.monotonic()

    def refresh(self) -> None:
        """Let what waits be tried again, if it is time."""
        if self._locked and self.seconds <= 0:
            self._locked.clear()
            self._try_at = math.inf

    def awaits(self, attempt: Attempt) -> bool:
        """Return whether the run of a settled attempt waits until its key can be closed."""
        run = attempt.run
        return run.lane is not None and run.limit_name in self._locked and _holds(attempt)

    def close(self, attempts: Iterable[Attempt]) -> None:
        """Close the keys of these attempts that are to be held, until their runs are due again."""
        until: dict[str, dict[str, datetime]] = {}
        for attempt in attempts:
            run = attempt.run
            if run.lane is None or run.limit_name in self._locked:
                continue
            if _holds(attempt):
                lanes = until.setdefault(str(run.limit_name), {})
                lane = str(run.lane)
                lanes[lane] = max(lanes.get(lane, run.available_at), run.available_at)
        for limit, lanes in until.items():
            if self._store.hold_keys(limit, lanes):
                self.closed.update((limit, lane) for lane in lanes)
            else:
                self._locked.add(limit)
                self._try_at = time.monotonic() + TRY_INTERVAL


def _holds(attempt: Attempt) -> bool:
    match attempt.outcome:
        case Snoozed(holds_key=True):
            return True
        case _:
            return False
