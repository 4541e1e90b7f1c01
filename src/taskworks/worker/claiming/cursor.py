"""How far a worker's claims have got, so that the next need not read what was claimed before."""

from collections import Counter
from collections.abc import Callable, Mapping

from taskworks import real_time as time
from taskworks.models import TaskRun
from taskworks.models.run import claim_order, in_claim_order
from taskworks.store.claiming import NO_PLACES, Place, Places

MAX_RESTART_INTERVAL = 0.9  # seconds between two claims from the start, however long these take
RESTART_REST_FACTOR = 4  # times as long as such a claim took, until there may be another

Room = Mapping[str, int]
Claim = Callable[[Room, int, Places], list[TaskRun]]


class ClaimCursor:
    """
    The last claimed place in each lane of ready runs (a queue and an executor), from which the next
    claim goes on.

    While another session holds a transaction open, the database keeps the rows that were claimed
    since, and a claim from the start of a lane reads past all of them. A run that comes to stand
    before the cursor, because of a higher priority or a late commit, is seen by a claim from the
    start. There is one at the latest ``MAX_RESTART_INTERVAL`` after the last one; and as soon as
    ``RESTART_REST_FACTOR`` times its duration has passed, if less was found than there is room for,
    or ``ask_for_restart`` was called. So reading past dead rows takes a fifth of the time at most.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], Place] = {}
        self._started_at, self._took = float("-inf"), 0.0
        self._wants_restart = True
        self.may_have_skipped = False  # whether there may be unseen runs before the cursor

    @property
    def seconds(self) -> float:
        """Seconds until a claim from the start is affordable again."""
        rest = min(self._took * RESTART_REST_FACTOR, MAX_RESTART_INTERVAL)
        return self._started_at + rest - time.monotonic()

    def ask_for_restart(self) -> None:
        """Begin at the start again as soon as that is affordable: there are new runs."""
        self._wants_restart = True

    def claim(self, claim: Claim, room: Room, limit: int) -> list[TaskRun]:
        """Call ``claim`` with the places to go on from, and from the start if that is due."""
        if self._is_stale or (self._wants_restart and self.seconds <= 0):
            return self._claim_from_start(claim, room, limit)
        runs = claim(room, limit, self._places)
        missing = missing_from(room, limit, runs)
        self._advance(runs, missing)
        if missing and self.seconds <= 0:
            more = self._claim_from_start(claim, missing, limit - len(runs))
            return in_claim_order([*runs, *more])
        self.may_have_skipped = self._wants_restart = bool(missing)
        return runs

    @property
    def _is_stale(self) -> bool:
        return time.monotonic() - self._started_at >= MAX_RESTART_INTERVAL

    def _claim_from_start(self, claim: Claim, room: Room, limit: int) -> list[TaskRun]:
        began = time.monotonic()
        runs = claim(room, limit, NO_PLACES)
        self._started_at = time.monotonic()
        self._took = self._started_at - began
        missing = missing_from(room, limit, runs)
        self._advance(runs, missing)
        self.may_have_skipped, self._wants_restart = False, bool(missing)
        return runs

    def _advance(self, runs: list[TaskRun], missing: Room) -> None:
        last = {(run.queue_name, run.executor): run for run in runs}
        for lane, run in last.items():
            place = claim_order(run)
            before = self._places.get(lane, place)
            # A lane that was read to its end has nothing left between the two.
            self._places[lane] = max(before, place) if lane[1] in missing else place


def missing_from(room: Room, limit: int, runs: list[TaskRun]) -> dict[str, int]:
    """Return for how many more runs of each executor there is room, if no more were found."""
    if len(runs) >= limit:
        return {}
    found = Counter([run.executor for run in runs])
    left = {executor: free - found[executor] for executor, free in room.items()}
    return {executor: free for executor, free in left.items() if free > 0}
