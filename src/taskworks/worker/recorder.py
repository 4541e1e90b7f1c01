"""What a worker has in hand, and the writing of what becomes of it."""

import logging
from uuid import UUID

from taskworks.execution import Attempt, Failed, Outcome, Postponed
from taskworks.models import TaskRun
from taskworks.signals import announce, task_finished
from taskworks.store import Store
from taskworks.worker.observer import Observer

WRITE_START_AFTER = 0.05  # seconds; a shorter attempt's start is written with its finish

logger = logging.getLogger(__name__)


class Recorder:
    """
    Holds attempts from their claim until their outcome is stored. Nothing is forgotten before: a
    write that fails is done again with the next ``record``.
    """

    def __init__(self, store: Store, sender: type, observer: Observer) -> None:
        self._store, self._sender, self._observer = store, sender, observer
        self._in_hand: dict[UUID, Attempt] = {}
        self._ended: list[Attempt] = []
        self.finished = 0

    def __len__(self) -> int:
        """How many attempts are in hand."""
        return len(self._in_hand)

    @property
    def ids(self) -> list[UUID]:
        """Of the runs in hand."""
        return list(self._in_hand)

    @property
    def awaits_a_start(self) -> bool:
        """Whether an attempt may soon have lasted long enough for its start to be written."""
        return any(not attempt.start_written for attempt in self._in_hand.values())

    def take(self, attempt: Attempt) -> None:
        """Hold a claimed run; an older attempt at it, which was rescued from us, is lost."""
        self._in_hand[attempt.run.id] = attempt

    def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note what became of it."""
        if self._in_hand.get(attempt.run.id) is attempt:
            attempt.end(outcome)
            self._ended.append(attempt)
        else:
            _log_lost(attempt.run)

    def record(self) -> None:
        """Write what has ended, many at once, and that what takes longer has begun."""
        self._postpone()
        self._finish()
        self._start()

    def give_back(self) -> int:
        """Release what is still in hand: its attempt does not count, its outcome is fenced off."""
        runs = [attempt.undone() for attempt in self._in_hand.values()]
        return len(self._store.release(runs)) if runs else 0

    def _postpone(self) -> None:
        for attempt in [*self._ended]:
            if isinstance(attempt.outcome, Postponed):
                self._store.postpone(attempt.run, attempt.outcome.delay)
                logger.warning("%s Run %s waits for it.", attempt.outcome.reason, attempt.run.id)
                self._ended.remove(attempt)
                self._let_go(attempt)

    def _finish(self) -> None:
        if not self._ended:
            return
        written = self._store.finish([attempt.run for attempt in self._ended])
        ended, self._ended = self._ended, []
        for attempt in ended:
            self._let_go(attempt)
            self.finished += 1
            if attempt.run.id in written:
                self._tell(attempt)
            else:
                _log_lost(attempt.run)

    def _start(self) -> None:
        begun = [attempt for attempt in self._in_hand.values() if _start_is_due(attempt)]
        if not begun:
            return
        self._store.start([attempt.run for attempt in begun])
        for attempt in begun:
            attempt.start_written = True

    def _let_go(self, attempt: Attempt) -> None:
        del self._in_hand[attempt.run.id]

    def _tell(self, attempt: Attempt) -> None:
        if isinstance(attempt.outcome, Failed):
            try:
                # The standard's log line takes a failure's traceback from the context.
                raise attempt.outcome.exception
            except BaseException:  # noqa: BLE001 - whatever the task raised
                announce(task_finished, self._sender, attempt.result())
        else:
            announce(task_finished, self._sender, attempt.result())
        self._observer.finished(attempt)


def _start_is_due(attempt: Attempt) -> bool:
    return attempt.begun and not attempt.start_written and attempt.age > WRITE_START_AFTER


def _log_lost(run: TaskRun) -> None:
    logger.error(
        "The outcome of run %s (%s) is lost: the run was rescued from this worker, or deleted.",
        run.id,
        run.task_path,
    )
