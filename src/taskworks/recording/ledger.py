"""What became of a worker's attempts, and the writing of that, many in one call."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
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
from taskworks.recording.in_hand import (
    CLOSED,
    SETTLED,
    STUCK,
    SUBMITTED,
    UNCERTAIN,
    UNSETTLED,
    AttemptsInHand,
)
from taskworks.recording.locked_rows import LockedRows
from taskworks.recording.progress_writer import ProgressWriter
from taskworks.recording.step_writer import StepWriter
from taskworks.store import Store

WRITE_START_AFTER = 0.05  # seconds; the start of a shorter attempt is written with its finish
HOLD_OUTCOME_FOR = 0.003  # seconds that an outcome waits for others, to be written with them
MAX_OUTCOMES_HELD = 100
COMMIT_LOOK_INTERVAL = 0.2  # seconds between two looks whether a COMMIT went through

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


class Ledger:
    """
    Settles attempts, and writes their starts, what they report, and their outcomes. They stay in
    hand until the outcome is written: a write that fails is repeated by the next ``record``, so
    nothing is forgotten.

    All methods are called in the thread that writes. ``wake`` is called in any thread, when a task
    has reported something.
    """

    def __init__(self, store: Store, events: RunEvents, wake: Callable[[], None]) -> None:
        self._store, self._events = store, events
        self._batch_writer = BatchWriter(store.poison)
        self.locked = LockedRows(store)
        self.held_keys = HeldKeys(store)
        self._progress = ProgressWriter(store, events, self.locked, wake)
        self._steps = StepWriter(store, wake)
        self.in_hand = AttemptsInHand(self._progress.note, self._steps.note)
        self._oldest_settled = 0.0  # when the first of those that are settled became so
        self._next_commit_look = 0.0
        self.finished = self.released = 0

    @property
    def seconds(self) -> float:
        """Seconds until there may be something to write."""
        now = time.monotonic()
        if self._writable:
            return 0.0 if self._is_due else self._oldest_settled + HOLD_OUTCOME_FOR - now
        if self.in_hand.by_run:
            asked = (at - now for at in self._steps.moments())
            progress = (at - now for at in self._progress.moments())
            locks = max(0.0, min(self.locked.seconds, self.held_keys.seconds))
            return min([WRITE_START_AFTER / 2, locks, *progress, *asked])
        return math.inf

    # Settle.

    def settle(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note what became of an attempt. If it is settled already, the outcome is refused."""
        if attempt.phase not in UNSETTLED:
            self._events.refused(attempt)
        elif isinstance(outcome, InDoubt):
            attempt.outcome = outcome
            self.in_hand.move([attempt], UNCERTAIN)
        else:
            self._settle(attempt, outcome)

    def settle_after_exit(self, attempt: Attempt, outcome: Settled) -> None:
        """Note what will have become of an attempt once this process, and its thread, has gone."""
        attempt.outcome = outcome
        self.in_hand.move([attempt], STUCK)

    def _settle(self, attempt: Attempt, outcome: Settled) -> None:
        try:
            settle(attempt, outcome)
        except Exception as error:  # noqa: BLE001 - of what somebody has written into the row
            settle_without_history(attempt, failure(error))
        if not self.in_hand.by_phase[SETTLED]:
            self._oldest_settled = time.monotonic()
        self.in_hand.move([attempt], SETTLED)
        if attempt.outcome.__class__ is Snoozed:
            self.held_keys.note(attempt)

    # Write.

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
                self.in_hand.move([attempt], SUBMITTED)
                started.append(attempt)
            else:
                self._settle(attempt, Fenced())
        return started

    def record(self) -> None:
        """Write steps, progress, what is settled, many at once, and starts of longer attempts."""
        self.locked.refresh()
        self.held_keys.refresh()
        self._settle_uncertain()
        self._close_held_keys()
        self._steps.write()
        self._progress.write(self.in_hand.by_phase[SETTLED])
        while self._is_due:
            self._write_settled()
        self._write_starts()

    def give_back(self) -> None:
        """
        Let go of everything: what is stuck gets its outcome; what is still executed is released,
        and does not count. Outcomes that come later are fenced off.
        """
        for attempt in [*self.in_hand.by_phase[STUCK]]:
            assert attempt.outcome is not None and not isinstance(attempt.outcome, InDoubt)  # noqa: S101, PT018
            self._settle(attempt, attempt.outcome)
        self._write_all_settled()
        left = [*self.in_hand.by_phase[SETTLED], *self.in_hand.unsettled]
        for attempt in left:
            self.in_hand.replace(attempt, settled_copy(attempt, attempt.abandon()))
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
        self.locked.find(self.in_hand.run_ids)
        return True

    def _settle_uncertain(self) -> None:
        """Settle the attempts of which the database knows by now whether they were committed."""
        uncertain = [*self.in_hand.by_phase[UNCERTAIN]]
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
            writable >= min(len(self.in_hand.by_run), MAX_OUTCOMES_HELD)
            or time.monotonic() - self._oldest_settled >= HOLD_OUTCOME_FOR
        )

    @property
    def _writable(self) -> list[Attempt]:
        """What is settled, except for what waits for another session's lock."""
        settled = self.in_hand.by_phase[SETTLED]
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
        self.in_hand.move(attempts, CLOSED)
        self._progress.forget(attempts)
        for attempt in attempts:
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

    def _write_starts(self) -> None:
        """Write the starts of attempts that take longer than a moment."""
        old = time.monotonic() - WRITE_START_AFTER
        due = [
            attempt
            for attempt in self.in_hand.by_phase[SUBMITTED]
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
