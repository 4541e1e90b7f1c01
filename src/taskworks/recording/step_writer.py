"""Answers what tasks ask about their steps while they run."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError

from taskworks import real_time as time
from taskworks.correlation import extras_of
from taskworks.execution import Attempt, Phase, claim_lost
from taskworks.logs import steady_logger
from taskworks.steps.requests import Request
from taskworks.store import Store

AGAIN_AFTER = 0.5  # seconds, once a row was locked by another session

logger = steady_logger(__name__)


@dataclass(slots=True)
class _Asked:
    attempt: Attempt
    request: Request
    answered: Callable[[Any], None]
    at: float  # when to answer it, by time.monotonic()


class StepWriter:
    """
    Holds what tasks have asked until it is answered: a write that fails is repeated by the next
    one. ``wake`` is called, in the task's thread, when there is something to answer.
    """

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store, self._wake = store, wake
        self._asked: deque[_Asked] = deque()
        self._is_closed = False

    def note(self, attempt: Attempt, request: Request, answered: Callable[[Any], None]) -> None:
        """Note what a task has asked; in the task's thread."""
        self._asked.append(_Asked(attempt, request, answered, time.monotonic()))
        if self._is_closed:
            self.close()
        else:
            self._wake()

    def moments(self) -> Iterator[float]:
        """When there is something to answer, by time.monotonic()."""
        # Copied, because tasks' threads add to it.
        return (asked.at for asked in [*self._asked]) if self._asked else iter(())

    def write(self) -> None:
        """Answer what is due."""
        for _ in range(len(self._asked)):
            asked = self._asked.popleft()
            try:
                is_answered = asked.at <= time.monotonic() and self._answer(asked)
            except BaseException:
                self._asked.appendleft(asked)
                raise
            if not is_answered:
                self._asked.append(asked)

    def close(self) -> None:
        """Tell all who ask, now and later, that their runs are no longer this worker's."""
        self._is_closed = True
        while self._asked:
            asked = self._asked.popleft()
            asked.answered(claim_lost(asked.attempt.run.id))

    def _answer(self, asked: _Asked) -> bool:
        """Answer, and return True; False if another session has locked a row that is needed."""
        answer: Any = None
        if asked.attempt.phase is not Phase.CLOSED:
            try:
                answer = self._store.answer(asked.attempt.run, asked.request)
            except (DataError, IntegrityError) as error:  # about this row
                answer = RuntimeError(f"The step could not be recorded: {error}")
            except DatabaseError as error:
                if not self._store.is_lock_timeout(error):
                    raise
                logger.warning(
                    "Run %s: a row of its steps is locked by another session, and is written once "
                    "that lets go.",
                    asked.attempt.run.id,
                    extra=extras_of(asked.attempt.run),
                )
                asked.at = time.monotonic() + AGAIN_AFTER
                return False
        asked.answered(claim_lost(asked.attempt.run.id) if answer is None else answer)
        return True
