"""Attempts whose start is written before the first line of the task runs."""

from collections import Counter
from collections.abc import Iterable

from taskworks import real_time as time
from taskworks.execution import Attempt
from taskworks.recording.ledger import Ledger
from taskworks.worker.pools import PoolSet


class FirstStarts:
    """
    Holds attempts back, with reserved slots, until their starts are written, many at once. Then
    they are submitted, except those whose start could not be written: these runs are not ours any
    more.
    """

    def __init__(self, ledger: Ledger, pools: PoolSet) -> None:
        self._ledger, self._pools = ledger, pools

    def hold(self, attempts: list[Attempt]) -> None:
        """Submit these attempts once their starts are written."""
        self._pools.reserve(attempts)
        self._ledger.in_hand.await_starts(attempts)

    def write(self) -> None:
        """Write the starts that are due, and submit them; after an error, call it again."""
        if due := self._due():
            started = self._ledger.write_starts_first(due)
            self._pools.cancel_reservation(due)
            self._pools.submit(started)

    def withdraw(self, longer_than: float) -> list[Attempt]:
        """Take back the attempts that were claimed more than ``longer_than`` seconds ago."""
        claimed_before = time.monotonic() - longer_than
        waiting = self._ledger.in_hand.awaiting_start()
        withdrawn = [attempt for attempt in waiting if attempt.claimed <= claimed_before]
        self._pools.cancel_reservation(withdrawn)
        return withdrawn

    def _due(self) -> list[Attempt]:
        waiting = self._ledger.in_hand.awaiting_start()
        return list(self._startable(waiting)) if waiting else []

    def _startable(self, waiting: Iterable[Attempt]) -> Iterable[Attempt]:
        """
        Yield all of them, but at-most-once runs only while there are free slots: if this worker
        dies, such a run is rescued only if its start was not written.
        """
        free = Counter(self._pools.free)
        for attempt in waiting:
            if attempt.run.id in self._ledger.locked:
                continue
            if free[attempt.lane] > 0 or not attempt.run.at_most_once:
                free[attempt.lane] -= 1
                yield attempt
