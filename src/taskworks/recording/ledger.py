"""What a worker has in hand, and the writing of what becomes of it."""

import math
import time
from collections.abc import Callable
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks.database.connections import left_as_it_was
from taskworks.duties.unblock import note_ended
from taskworks.execution import (
    Attempt,
    Cancelled,
    Committed,
    Crashed,
    Failed,
    Fenced,
    InDoubt,
    Lost,
    Outcome,
    Poisoned,
    Postponed,
    Released,
    Retried,
    Snoozed,
    Succeeded,
    cancellation,
)
from taskworks.models.run import FINISHED as FINISHED_STATES
from taskworks.progress import OF_SCHEDULE
from taskworks.recording.batch import Batch, Write
from taskworks.recording.doubts import Doubts
from taskworks.recording.events import Report
from taskworks.recording.held import Held
from taskworks.recording.watchers import Watchers
from taskworks.store import Store

WRITE_START_AFTER = 0.05  # seconds; a shorter attempt's start is written with its finish
HOLD_FOR = 0.003  # seconds that an outcome waits for others, to be written with them
HOLD_UP_TO = 100  # outcomes
TELL_EVERY = 0.1  # seconds between two writes of a run's progress

REQUEUED = (Retried, Snoozed, Postponed, Crashed)
FINISHED = (Succeeded, Failed, Cancelled, Lost)


class Ledger:
    """
    Holds attempts from their claim until their outcome is stored. Nothing is forgotten before: a
    write that fails is done again with the next ``record``. ``wake`` is called, in any thread,
    when a task has told something; the ``watchers``, in its own, when that is written.
    """

    def __init__(
        self,
        store: Store,
        report: Report,
        wake: Callable[[], None],
        watchers: Watchers | None = None,
    ) -> None:
        self._store, self._report, self._wake = store, report, wake
        self._watchers = watchers or Watchers(store)
        self._in_hand: dict[UUID, Attempt] = {}
        self._ended: list[Attempt] = []
        self._held: list[tuple[Attempt, Outcome]] = []
        self._telling: dict[Attempt, float] = {}  # and when it may be written
        self._held_since = 0.0  # the first of those that have ended
        self._batch = Batch()
        self._doubts = Doubts(store)
        self.locked = Held(store)
        self.finished = self.released = 0

    def __len__(self) -> int:
        """How many attempts are in hand, and may still end."""
        return len(self._in_hand) - len(self._held)

    @property
    def attempts(self) -> list[Attempt]:
        """Those in hand that have not ended."""
        return [attempt for attempt in self._in_hand.values() if attempt.outcome is None]

    @property
    def ids(self) -> list[UUID]:
        """Of the runs in hand."""
        return list(self._in_hand)

    @property
    def seconds(self) -> float:
        """Until there may be something to write."""
        now = time.monotonic()
        if self._writable:
            return 0.0 if self._is_due else self._held_since + HOLD_FOR - now
        if self._in_hand:
            telling = [*self._telling.items()]
            tells = (at - now for attempt, at in telling if attempt.run.id not in self.locked)
            return min([WRITE_START_AFTER / 2, max(0.0, self.locked.seconds), *tells])
        return math.inf

    def take(self, attempt: Attempt) -> None:
        """Hold a claimed run; an older attempt at it, which was rescued from us, is lost."""
        self._in_hand[attempt.run.id] = attempt
        attempt.listener = self._hear

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note what became of it."""
        if self._in_hand.get(attempt.run.id) is not attempt or attempt.outcome is not None:
            self._report.lost(attempt)
        elif isinstance(outcome, InDoubt):
            attempt.outcome = outcome
            self._doubts.add(attempt, outcome)
        else:
            attempt.end(outcome)
            if not self._ended:
                self._held_since = time.monotonic()
            self._ended.append(attempt)

    def hold(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note what will become of it, once this worker and with it its thread have gone."""
        attempt.outcome = outcome
        self._held.append((attempt, outcome))

    def record(self) -> None:
        """Write what tasks tell, what has ended, many at once, and that what takes longer began."""
        self.locked.look()
        self._end_doubts()
        self._write_told()
        while self._is_due:
            self._settle()
        self._start()

    @property
    def _is_due(self) -> bool:
        """Whether to write what has ended: at once, unless more will end in a moment."""
        writable = len(self._writable)
        return writable > 0 and (
            writable >= min(len(self._in_hand), HOLD_UP_TO)
            or time.monotonic() - self._held_since >= HOLD_FOR
        )

    @property
    def _writable(self) -> list[Attempt]:
        """Those that have ended, but for what another session has locked."""
        if self.locked.seconds == math.inf:
            return self._ended
        return [attempt for attempt in self._ended if attempt.run.id not in self.locked]

    def goes_on_after(self, error: DatabaseError) -> bool:
        """Whether this was about rows that others have locked, which are left aside for now."""
        if not self._store.is_about_a_held_row(error):
            return False
        self.locked.find(self.ids)
        return True

    def give_back(self) -> None:
        """
        Let go of everything: what was held gets its outcome; what is still executed is released,
        does not count as an attempt, and its outcome is fenced off.
        """
        held, self._held = self._held, []
        for attempt, outcome in held:
            attempt.outcome = None
            self.end(attempt, outcome)
        while self._writable:
            self._settle()
        # Copies, for it may be executing still.
        left = [attempt for attempt in self._in_hand.values() if attempt not in self._doubts]
        self._ended = [attempt.undone() for attempt in left]
        while self._writable:
            self._settle()
        for attempt in left:
            attempt.detach_channel()

    def _end_doubts(self) -> None:
        for attempt, outcome in self._doubts.settled():
            attempt.outcome = None
            self.end(attempt, outcome)

    # What tasks tell.

    def _hear(self, attempt: Attempt) -> None:
        # In the thread that executes; the channel is silent until it is taken.
        self._telling.setdefault(attempt, time.monotonic())
        self._wake()

    def _write_told(self) -> None:
        if not self._telling:
            return
        now = time.monotonic()
        due = [attempt for attempt, at in [*self._telling.items()] if at <= now]
        due += [attempt for attempt in self._ended if attempt.has_news]
        due = [attempt for attempt in due if attempt.run.id not in self.locked]
        telling = {attempt: attempt.channel.take() for attempt in dict.fromkeys(due)}
        news = {attempt: columns for attempt, columns in telling.items() if columns}
        for attempt, columns in news.items():
            for name, value in columns.items():
                setattr(attempt.run, name, value)
        try:
            if news:
                self._watchers.tell(self._store.tell([attempt.run for attempt in news]))
        except DatabaseError:
            for attempt in telling:
                attempt.channel.untake()
            raise
        for attempt in telling:
            self._told(attempt, more=attempt in news)

    def _told(self, attempt: Attempt, *, more: bool) -> None:
        attempt.channel.written(attempt.channel.taken)
        if more and attempt.outcome is None:
            self._telling[attempt] = time.monotonic() + TELL_EVERY
        else:
            self._telling.pop(attempt, None)
            if attempt.outcome is None and attempt.channel.has_news:
                self._hear(attempt)

    # What becomes of them.

    def _settle(self) -> None:
        """Write each kind of outcome; a run that is to be cancelled comes back as that."""
        self._settle_by(self._store.requeue, REQUEUED)
        self._settle_by(self._store.release, Released)
        self._settle_by(self._store.finish, FINISHED)
        self._settle_by(self._store.poison, Poisoned)
        self._settle_by(lambda runs: {run.id for run in runs}, Committed)  # by the task's thread
        self._settle_by(lambda runs: set(), Fenced)

    def _settle_by(self, write: Write, kinds: type | tuple[type, ...]) -> None:
        attempts = [attempt for attempt in self._writable if isinstance(attempt.outcome, kinds)]
        for some in self._batch.of(attempts):
            written = self._batch.write(write, some)
            self._watchers.tell(written)
            missed = [attempt.run for attempt in some if attempt.run.id not in written]
            to_cancel = self._store.asked_to_cancel(missed) if missed else set()
            self._let_go([a for a in some if a.run.id not in to_cancel], written)
            for attempt in some:
                if attempt.run.id in to_cancel:
                    attempt.end(cancellation("The run was cancelled while it was executed."))

    def _let_go(self, attempts: list[Attempt], written: set[UUID]) -> None:
        gone = set(attempts)
        self._ended = [attempt for attempt in self._ended if attempt not in gone]
        with left_as_it_was(self._store.connection):
            for attempt in attempts:
                self._in_hand.pop(attempt.run.id, None)
                self._telling.pop(attempt, None)
                attempt.detach_channel()
                self._count(attempt, is_written=attempt.run.id in written)

    def _count(self, attempt: Attempt, *, is_written: bool) -> None:
        match attempt.outcome:
            case Released():
                self.released += is_written
            case Postponed():
                pass
            case _:
                self.finished += 1
        if is_written:
            self._note_end(attempt)
            self._report.written(attempt)
        else:
            self._report.lost(attempt)

    @staticmethod
    def _note_end(attempt: Attempt) -> None:
        """The next run of its schedule may wait for this one, however it has ended."""
        of_schedule = attempt.run.metadata.get(OF_SCHEDULE, {}) if attempt.run.metadata else {}
        if of_schedule.get("is_followed") and attempt.run.state in FINISHED_STATES:
            note_ended(attempt.run.id)

    def _start(self) -> None:
        begun = [
            attempt
            for attempt in self.attempts
            if _start_is_due(attempt) and attempt.run.id not in self.locked
        ]
        if not begun:
            return
        self._watchers.tell(self._store.start([attempt.run for attempt in begun]))
        for attempt in begun:
            attempt.start_written = True


def _start_is_due(attempt: Attempt) -> bool:
    return (
        attempt.began is not None and not attempt.start_written and attempt.age > WRITE_START_AFTER
    )
