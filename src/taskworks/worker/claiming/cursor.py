"""How far a worker's claims have got, so that the next need not read what was claimed before."""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from taskworks.models import TaskRun
from taskworks.models.run import claim_order
from taskworks.store.claiming import NO_PLACES, Place, Places

LONGEST = 0.9  # seconds until a claim begins at the start again, however long that takes
REST = 4  # times as long as such a claim took, until there is another

Room = Mapping[str, int]
Ask = Callable[[Room, int, Places], list[TaskRun]]


class ClaimCursor:
    """
    The last claimed place in each line of ready runs, from which the next claim goes on.

    While another session holds a transaction open, the database keeps what has been claimed
    since, and a claim from the start of a line reads past all of it. What comes to stand before
    the cursor (a run of a higher priority, one that was committed late) is seen by a claim from
    the start: at the latest when the last such is ``LONGEST`` ago, and as soon as it is ``REST``
    times as long ago as it took, if less was found than there is room for, or ``look_back`` was
    called. So reading past what is dead takes a fifth of the time at most.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], Place] = {}
        self._started_at, self._took = float("-inf"), 0.0
        self._wants_start = True
        self.owes = False  # whether there may be runs before the cursor that nobody looked for

    @property
    def seconds(self) -> float:
        """Until a claim from the start is not too much."""
        return self._started_at + min(self._took * REST, LONGEST) - time.monotonic()

    def look_back(self) -> None:
        """There is something new: begin at the start again as soon as that is not too much."""
        self._wants_start = True

    def claim(self, ask: Ask, room: Room, limit: int) -> list[TaskRun]:
        """What a claim finds, from here on, and from the start if that is due."""
        if self._is_stale or (self._wants_start and self.seconds <= 0):
            return self._claim_from_start(ask, room, limit)
        runs = ask(room, limit, self._places)
        missing = _missing(room, limit, runs)
        self._advance(runs, missing)
        if missing and self.seconds <= 0:
            more = self._claim_from_start(ask, missing, limit - len(runs))
            return sorted([*runs, *more], key=claim_order)
        self.owes = self._wants_start = bool(missing)
        return runs

    @property
    def _is_stale(self) -> bool:
        return time.monotonic() - self._started_at >= LONGEST

    def _claim_from_start(self, ask: Ask, room: Room, limit: int) -> list[TaskRun]:
        began = time.monotonic()
        runs = ask(room, limit, NO_PLACES)
        self._started_at = time.monotonic()
        self._took = self._started_at - began
        missing = _missing(room, limit, runs)
        self._advance(runs, missing)
        self.owes, self._wants_start = False, bool(missing)
        return runs

    def _advance(self, runs: list[TaskRun], missing: Room) -> None:
        last = {(run.queue_name, run.executor): claim_order(run) for run in runs}
        for line, place in last.items():
            before = self._places.get(line, place)
            # A line that was read to its end has nothing left between the two.
            self._places[line] = max(before, place) if line[1] in missing else place


def _missing(room: Room, limit: int, runs: list[TaskRun]) -> dict[str, int]:
    """For how many more there is room of each executor, of which no more were found."""
    if len(runs) >= limit:
        return {}
    found = Counter(run.executor for run in runs)
    left = {executor: free - found[executor] for executor, free in room.items()}
    return {executor: free for executor, free in left.items() if free > 0}
