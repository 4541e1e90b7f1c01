"""Closes the keys of limits that tasks hold."""

import math
from datetime import datetime

from taskworks import real_time as time
from taskworks.execution import Attempt, Phase, Snoozed
from taskworks.models import TaskRun
from taskworks.store import Store

TRY_INTERVAL = 0.005  # seconds between two tries to have the lock of a limit

Key = tuple[str, str]  # a limit and a lane


class HeldKeys:
    """
    Closes a key before its run is put back, so that nobody claims another run of it in between. A
    run waits for that while another session has the lock of its limit, and holds up no other.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.held: set[Key] = set()  # of outcomes that are new, until somebody clears it
        self.to_close: dict[Attempt, Key] = {}
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

    def note(self, attempt: Attempt) -> None:
        """Note that an attempt is settled; its key is to be closed if it is held."""
        run = attempt.run
        if run.lane is not None and _holds(attempt):
            key = str(run.limit_name), run.lane
            self.held.add(key)
            self.to_close[attempt] = key

    def holds_up(self, run: TaskRun) -> bool:
        """Return whether the run's key is held, and not yet closed, so that it could be claimed."""
        return any(
            key == (run.limit_name, run.lane) and attempt.phase is Phase.SETTLED
            for attempt, key in self.to_close.items()
        )

    def awaits(self, attempt: Attempt) -> bool:
        """Return whether the run of a settled attempt waits until its key can be closed."""
        return attempt.run.limit_name in self._locked and attempt in self.to_close

    def close(self) -> None:
        """Close the keys that are held, until their runs are due again."""
        until: dict[str, dict[str, datetime]] = {}
        for attempt, (limit, lane) in self.to_close.items():
            # Another attempt may have taken the place of this one.
            if attempt.phase is Phase.SETTLED and limit not in self._locked:
                due_at, lanes = attempt.run.available_at, until.setdefault(limit, {})
                lanes[lane] = max(lanes.get(lane, due_at), due_at)
        for limit, lanes in until.items():
            if not self._store.hold_keys(limit, lanes):
                self._locked.add(limit)
                self._try_at = time.monotonic() + TRY_INTERVAL
        self.to_close = {
            attempt: key
            for attempt, key in self.to_close.items()
            if attempt.phase is Phase.SETTLED and key[0] in self._locked
        }


def _holds(attempt: Attempt) -> bool:
    match attempt.outcome:
        case Snoozed(holds_key=True):
            return True
        case _:
            return False
