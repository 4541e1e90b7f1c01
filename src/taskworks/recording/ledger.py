"""
Where each attempt of a worker is, and the writing of what becomes of it.

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

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.database.connections import left_as_it_was
from taskworks.execution import (
    Attempt,
    Committed,
    Fenced,
    InDoubt,
    Outcome,
    Parked,
    Phase,
    Postponed,
    Released,
    Settled,
    Snoozed,
    Verb,
    cancellation,
    failure,
    settle,
    settle_without_history,
    settled_copy,
)
from taskworks.models import TaskRun
from taskworks.recording.batch_writer import BatchWriter, Write, write_what_can_be
from taskworks.recording.events import RunEvents
from taskworks.recording.held_keys import HeldKeys
from taskworks.recording.locked_rows import LockedRows
from taskworks.recording.progress_writer import ProgressWriter
from taskworks.recording.step_writer import StepWriter
from taskworks.store import Store

WRITE_START_AFTER = 0.05  # seconds; the start of a shorter attempt is written with its finish
HOLD_OUTCOME_FOR = 0.003  # seconds that an outcome waits for others, to be written with them
MAX_OUTCOMES_HELD = 100
COMMIT_LOOK_INTERVAL = 0.2  # seconds between two looks whether a COMMIT went through

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
UNCOUNTED = (Released, Postponed, Parked)  # outcomes of which ``finished`` has none

WRITERS: Mapping[Verb, Callable[[Store], Write]] = {
    Verb.REQUEUE: lambda store: store.requeue,
    Verb.RELEASE: lambda store: store.release,
    Verb.PARK: lambda store: store.park,
    Verb.SUSPEND: lambda store: store.suspend,
    Verb.FINISH: lambda store: store.finish,
    Verb.POISON: lambda store: store.poison,
    Verb.NONE_IS_COMMITTED: lambda store: _all_of,
    Verb.NONE_IS_FENCED: lambda store: _none_of,
}


class ImpossiblePhaseError(RuntimeError):
    """An attempt was to enter a phase that does not follow its own: an error of the engine."""


class Ledger:
    """
    Holds attempts from their claim until their outcome is written. A write that fails is repeated
    by the next ``record``, so nothing is forgotten.

    All methods are called in the thread that writes. ``wake`` is called in any thread, when a task
    has reported something.
    """

    def __init__(self, store: Store, events: RunEvents, wake: Callable[[], None]) -> None:
        self._store, self._events = store, events
        self._by_run: dict[UUID, Attempt] = {}
        self._in: dict[Phase, dict[Attempt, None]] = {phase: {} for phase in Phase}
        self._batch_writer = BatchWriter(store.poison)
        self.locked = LockedRows(store)
        self.held_keys = HeldKeys(store)
        self._progress = ProgressWriter(store, events, self.locked, wake)
        self._steps = StepWriter(store, wake)
        self._oldest_settled = 0.0  # when the first of those that are settled became so
        self._next_commit_look = 0.0
        self.finished = self.released = 0

    # What is in hand.

    def __len__(self) -> int:
        """How many attempts are in hand, and may still end."""
        return len(self._by_run) - len(self._in[STUCK])

    @property
    def unsettled(self) -> list[Attempt]:
        """The attempts in hand that have no outcome yet."""
        return [attempt for phase in UNSETTLED for attempt in self._in[phase]]

    @property
    def has_waiting(self) -> bool:
        """True if an attempt in hand has not begun."""
        return any(attempt.began is None for attempt in self.unsettled)

    def has_waiting_of(self, keys: Collection[tuple[str | None, str | None]]) -> bool:
        """Return whether an attempt in hand has not begun whose limit and lane are among these."""
        return any(
            attempt.began is None and (attempt.run.limit_name, attempt.run.lane) in keys
            for attempt in self.unsettled
        )

    @property
    def runs(self) -> Iterator[TaskRun]:
        """The runs in hand whose attempts may still end."""
        return (attempt.run for attempt in self._by_run.values() if attempt.phase is not STUCK)

    @property
    def run_ids(self) -> list[UUID]:
        """The ids of the runs in hand."""
        return list(self._by_run)

    @property
    def seconds(self) -> float:
        """Seconds until there may be something to write."""
        now = time.monotonic()
        if self._writable:
            return 0.0 if self._is_due else self._oldest_settled + HOLD_OUTCOME_FOR - now
        if self._by_run:
            asked = (at - now for at in self._steps.moments())
            progress = (at - now for at in self._progress.moments())
            locks = max(0.0, min(self.locked.seconds, self.held_keys.seconds))
            return min([WRITE_START_AFTER / 2, locks, *progress, *asked])
        return math.inf

    # From phase to phase.

    def take(self, attempts: Iterable[Attempt]) -> None:
        """Hold claimed runs. An older attempt at one, which was rescued from us, is given up."""
        for attempt in attempts:
            older = self._by_run.setdefault(attempt.run.id, attempt)
            if older is not attempt:
                self._supersede(older)
                self._by_run[attempt.run.id] = attempt
            self._in[attempt.phase][attempt] = None
            attempt.on_progress = self._progress.note
            attempt.on_request = self._steps.note

    def await_starts(self, attempts: Sequence[Attempt]) -> None:
        """Have the starts of these attempts written before they are submitted."""
        self._move(attempts, AWAITING_START)

    def submitted(self, attempts: Sequence[Attempt]) -> None:
        """Note that a pool gets these attempts now."""
        self._move(attempts, SUBMITTED)

    def settle(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note what became of an attempt. If it is settled already, the outcome is refused."""
        if attempt.phase not in UNSETTLED:
            self._events.refused(attempt)
        elif isinstance(outcome, InDoubt):
            attempt.outcome = outcome
            self._move([attempt], UNCERTAIN)
        else:
            self._settle(attempt, outcome)

    def settle_after_exit(self, attempt: Attempt, outcome: Settled) -> None:
        """Note what will have become of an attempt once this process, and its thread, has gone."""
        attempt.outcome = outcome
        self._move([attempt], STUCK)

    def _supersede(self, attempt: Attempt) -> None:
        """Close an attempt whose place another one takes, in whatever phase it is."""
        del self._in[attempt.phase][attempt]
        attempt.phase = CLOSED

    def _settle(self, attempt: Attempt, outcome: Settled) -> None:
        try:
            settle(attempt, outcome)
        except Exception as error:  # noqa: BLE001 - of what somebody has written into the row
            settle_without_history(attempt, failure(error))
        if not self._in[SETTLED]:
            self._oldest_settled = time.monotonic()
        self._move([attempt], SETTLED)
        if attempt.outcome.__class__ is Snoozed:
            self.held_keys.note(attempt)

    def _move(self, attempts: Sequence[Attempt], phase: Phase) -> None:
        for attempt in attempts:
            if phase not in NEXT_PHASES[attempt.phase]:
                raise ImpossiblePhaseError(
                    f"The attempt at run {attempt.run.id} is {attempt.phase.name}, and cannot "
                    f"become {phase.name}."
                )
            del self._in[attempt.phase][attempt]
            attempt.phase = phase
            if phase is not CLOSED:
                self._in[phase][attempt] = None

    # Starts that come first.

    def awaiting_start(self) -> list[Attempt]:
        """The attempts whose start is to be written first, in order."""
        return list(self._in[AWAITING_START])

    def write_starts_first(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """
        Write the starts of these attempts, and return those that are still ours, now submitted.
        The others are settled as fenced, or have failed if their rows cannot be written. If it
        raises, nothing has changed.
        """
        for attempt in attempts:
            attempt.count_start()
        written, refused = write_what_can_be(self._store.start, attempts)
        started = []
        for attempt in attempts:
            attempt.start_written = True
            if attempt in refused:
                self._settle(attempt, failure(refused[attempt]))
            elif attempt.run.id in written:
                self._move([attempt], SUBMITTED)
                started.append(attempt)
            else:
                self._settle(attempt, Fenced())
        return started

    # Write.

    def record(self) -> None:
        """Write steps, progress, what is settled, many at once, and starts of longer attempts."""
        self.locked.refresh()
        self.held_keys.refresh()
        self._settle_uncertain()
        self._close_held_keys()
        self._steps.write()
        self._progress.write(self._in[SETTLED])
        while self._is_due:
            self._write_settled()
        self._write_starts()

    def give_back(self) -> None:
        """
        Let go of everything: what is stuck gets its outcome; what is still executed is released,
        and does not count. Outcomes that come later are fenced off.
        """
        for attempt in [*self._in[STUCK]]:
            assert attempt.outcome is not None and not isinstance(attempt.outcome, InDoubt)  # noqa: S101, PT018
            self._settle(attempt, attempt.outcome)
        self._write_all_settled()
        left = [*self._in[SETTLED], *self.unsettled]
        for attempt in left:
            self._replace(attempt, settled_copy(attempt, attempt.abandon()))
        self._write_all_settled()
        for attempt in left:
            attempt.close_channel()
        self._steps.close()

    def goes_on_after(self, error: DatabaseError) -> bool:
        """
        Return whether the error was about rows that other sessions have locked. These are left
        aside for now.
        """
        if not self._store.is_lock_timeout(error):
            return False
        self.locked.find(self.run_ids)
        return True

    def _settle_uncertain(self) -> None:
        """Settle the attempts of which the database knows by now whether they were committed."""
        uncertain = [*self._in[UNCERTAIN]]
        if not uncertain or time.monotonic() < self._next_commit_look:
            return
        known = self._store.committed([attempt.run for attempt in uncertain])
        self._next_commit_look = time.monotonic() + COMMIT_LOOK_INTERVAL
        for attempt in uncertain:
            if attempt.run.id in known:
                self._settle(attempt, _known_outcome(attempt, known[attempt.run.id]))

    @property
    def _is_due(self) -> bool:
        """True if outcomes are to be written now, because no more will come in a moment."""
        writable = len(self._writable)
        return writable > 0 and (
            writable >= min(len(self._by_run), MAX_OUTCOMES_HELD)
            or time.monotonic() - self._oldest_settled >= HOLD_OUTCOME_FOR
        )

    @property
    def _writable(self) -> list[Attempt]:
        """What is settled, except for what waits for another session's lock."""
        settled = self._in[SETTLED]
        if not self.locked and not self.held_keys:
            return list(settled)
        return [
            attempt
            for attempt in settled
            if attempt.run.id not in self.locked and not self.held_keys.awaits(attempt)
        ]

    def _write_all_settled(self) -> None:
        while self._writable:
            self._write_settled()

    def _write_settled(self) -> None:
        """Write the outcomes, verb by verb. Those of cancelled runs come back as cancellations."""
        self._close_held_keys()
        by_verb: dict[Verb, list[Attempt]] = {}
        for attempt in self._writable:
            by_verb.setdefault(_verb_of(attempt), []).append(attempt)
        for verb, attempts in by_verb.items():
            write = WRITERS[verb](self._store)
            for batch in self._batch_writer.batches(attempts):
                self._write_batch(write, batch)

    def _close_held_keys(self) -> None:
        if self.held_keys.to_close:
            self.held_keys.close()

    def _write_batch(self, write: Write, attempts: Sequence[Attempt]) -> None:
        written = self._batch_writer.write(write, attempts)
        if len(written) == len(attempts):
            self._close(attempts)
            return
        missed = {attempt for attempt in attempts if attempt.run.id not in written}
        to_cancel = self._asked_to_cancel(missed) if missed else set()
        self._close([a for a in attempts if a not in to_cancel], missed - to_cancel)
        for attempt in to_cancel:
            settle(attempt, cancellation("The run was cancelled while it was executed."))

    def _asked_to_cancel(self, attempts: Collection[Attempt]) -> set[Attempt]:
        ids = self._store.asked_to_cancel([attempt.run for attempt in attempts])
        return {attempt for attempt in attempts if attempt.run.id in ids}

    def _close(self, attempts: Sequence[Attempt], missed: Collection[Attempt] = ()) -> None:
        self._move(attempts, CLOSED)
        self._progress.forget(attempts)
        for attempt in attempts:
            del self._by_run[attempt.run.id]
            attempt.close_channel()
            kind = attempt.outcome.__class__
            if kind not in UNCOUNTED:
                self.finished += 1
            elif kind is Released and attempt not in missed:
                self.released += 1
        written = [a for a in attempts if a not in missed] if missed else attempts
        with left_as_it_was(self._store.connection):
            for attempt in missed:
                self._events.refused(attempt)
            self._events.recorded(written)

    def _replace(self, attempt: Attempt, twin: Attempt) -> None:
        """Have a settled copy written in the place of an attempt that may still be executed."""
        self._supersede(attempt)
        twin.phase = SETTLED
        self._by_run[twin.run.id] = twin
        self._in[SETTLED][twin] = None

    def _write_starts(self) -> None:
        """Write the starts of attempts that take longer than a moment."""
        old = time.monotonic() - WRITE_START_AFTER
        due = [
            attempt
            for attempt in self._in[SUBMITTED]
            if attempt.claimed < old and attempt.began is not None and not attempt.start_written
        ]
        begun = [attempt for attempt in due if attempt.run.id not in self.locked]
        if not begun:
            return
        # A start that cannot be written is written with the finish, or keeps that from success.
        written, _ = write_what_can_be(self._store.start, begun)
        for attempt in begun:
            attempt.start_written = True
        self._events.started([attempt for attempt in begun if attempt.run.id in written])


def _known_outcome(attempt: Attempt, row: TaskRun | None) -> Settled:
    """The outcome of an uncertain attempt; ``row`` is its run if its COMMIT went through."""
    assert isinstance(attempt.outcome, InDoubt)  # noqa: S101
    if row is None or row.finished_at is None:
        return attempt.outcome.otherwise
    return Committed(row.return_value, row.finished_at)


def _verb_of(attempt: Attempt) -> Verb:
    outcome = attempt.outcome
    assert outcome is not None and not isinstance(outcome, InDoubt), "it is settled"  # noqa: S101, PT018
    verb: Verb = outcome.verb
    return verb


def _all_of(runs: Sequence[TaskRun]) -> set[UUID]:
    return {run.id for run in runs}


def _none_of(runs: Sequence[TaskRun]) -> set[UUID]:
    return set()
