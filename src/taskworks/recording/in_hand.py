"""
Which attempts a worker has in hand, and in which phase each of them is.

    CLAIMED ──┬──────────────────► SUBMITTED ──┬──────────────► SETTLED ──► CLOSED
              │                        ▲       ├─ UNCERTAIN ──────►▲
              ├─ AWAITING_START ───────┘       └─ STUCK ──────────►│
              │        │                                           │
              └────────┴───────────────────────────────────────────┘

An attempt is taken when its run is CLAIMED. Its start is written before its first line runs if it
must be known (AWAITING_START), and after it otherwise. A pool has it while it is SUBMITTED. Then it
is SETTLED: it has an outcome, which is written together with others. Two ways are longer. An
attempt is UNCERTAIN while nobody knows whether the COMMIT of its own transaction went through, and
STUCK if it cannot be stopped: its outcome is written when this process leaves. It is CLOSED when
the outcome is written, or turned out to belong to a run that is another worker's.

One way is not drawn: an attempt in any phase is CLOSED when another one takes its place, because
this worker has claimed the run again, or is leaving and writes a copy of the attempt.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from taskworks.execution import Attempt, Phase
from taskworks.execution.attempt import OnRequest
from taskworks.models import TaskRun

# Names of the module, because an enum's attributes are slow to look up.
CLAIMED, AWAITING_START, SUBMITTED, UNCERTAIN, STUCK, SETTLED, CLOSED = Phase

NEXT_PHASES: Mapping[Phase, frozenset[Phase]] = {
    CLAIMED: frozenset({AWAITING_START, SUBMITTED, SETTLED}),
    AWAITING_START: frozenset({SUBMITTED, SETTLED}),
    SUBMITTED: frozenset({UNCERTAIN, STUCK, SETTLED}),
    UNCERTAIN: frozenset({SETTLED}),
    STUCK: frozenset({SETTLED}),
    SETTLED: frozenset({CLOSED}),
    CLOSED: frozenset(),
}
UNSETTLED = (CLAIMED, AWAITING_START, SUBMITTED)


class ImpossiblePhaseError(RuntimeError):
    """An attempt was to enter a phase that does not follow its own: an error of the engine."""


class AttemptsInHand:
    """
    Holds attempts from their claim until they are closed. ``on_progress`` and ``on_request`` are
    called in any thread, with an attempt whose task has reported or asked something. All methods
    are called in the thread that writes.
    """

    def __init__(self, on_progress: Callable[[Attempt], None], on_request: OnRequest) -> None:
        self._on_progress, self._on_request = on_progress, on_request
        self.by_run: dict[UUID, Attempt] = {}
        self.by_phase: Mapping[Phase, dict[Attempt, None]] = {phase: {} for phase in Phase}

    def __len__(self) -> int:
        """How many attempts are in hand, and may still end."""
        return len(self.by_run) - len(self.by_phase[STUCK])

    @property
    def unsettled(self) -> list[Attempt]:
        """The attempts that have no outcome yet."""
        return [attempt for phase in UNSETTLED for attempt in self.by_phase[phase]]

    @property
    def has_waiting(self) -> bool:
        """True if an attempt has not begun."""
        return any(attempt.began is None for attempt in self.unsettled)

    def has_waiting_of(self, keys: Collection[tuple[str | None, str | None]]) -> bool:
        """Return whether an attempt has not begun whose limit and lane are among these."""
        return any(
            attempt.began is None and (attempt.run.limit_name, attempt.run.lane) in keys
            for attempt in self.unsettled
        )

    @property
    def runs(self) -> Iterator[TaskRun]:
        """The runs whose attempts may still end."""
        return (attempt.run for attempt in self.by_run.values() if attempt.phase is not STUCK)

    @property
    def run_ids(self) -> list[UUID]:
        """The ids of all runs."""
        return list(self.by_run)

    # From phase to phase.

    def take(self, attempts: Iterable[Attempt]) -> None:
        """Hold claimed runs. An older attempt at one, which was rescued from us, is given up."""
        for attempt in attempts:
            older = self.by_run.setdefault(attempt.run.id, attempt)
            if older is not attempt:
                self._supersede(older)
                self.by_run[attempt.run.id] = attempt
            self.by_phase[attempt.phase][attempt] = None
            attempt.on_progress = self._on_progress
            attempt.on_request = self._on_request

    def await_starts(self, attempts: Sequence[Attempt]) -> None:
        """Have the starts of these attempts written before they are submitted."""
        self.move(attempts, AWAITING_START)

    def awaiting_start(self) -> list[Attempt]:
        """The attempts whose start is to be written first, in order."""
        return list(self.by_phase[AWAITING_START])

    def submitted(self, attempts: Sequence[Attempt]) -> None:
        """Note that a pool gets these attempts now."""
        self.move(attempts, SUBMITTED)

    def move(self, attempts: Sequence[Attempt], phase: Phase) -> None:
        """Have these attempts enter a phase, or raise ``ImpossiblePhaseError``."""
        for attempt in attempts:
            if phase not in NEXT_PHASES[attempt.phase]:
                raise ImpossiblePhaseError(
                    f"The attempt at run {attempt.run.id} is {attempt.phase.name}, and cannot "
                    f"become {phase.name}."
                )
            del self.by_phase[attempt.phase][attempt]
            attempt.phase = phase
            if phase is CLOSED:
                del self.by_run[attempt.run.id]
            else:
                self.by_phase[phase][attempt] = None

    def replace(self, attempt: Attempt, twin: Attempt) -> None:
        """Put a settled copy in the place of an attempt that may still be executed."""
        self._supersede(attempt)
        twin.phase = SETTLED
        self.by_run[twin.run.id] = twin
        self.by_phase[SETTLED][twin] = None

    def _supersede(self, attempt: Attempt) -> None:
        """Close an attempt whose place another one takes, in whatever phase it is."""
        del self.by_phase[attempt.phase][attempt]
        attempt.phase = CLOSED
