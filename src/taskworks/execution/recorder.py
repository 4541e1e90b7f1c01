"""``AttemptRecorder``: how the steps of a task reach whoever writes them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections

from taskworks.database.transactions import called_inside, writing
from taskworks.exceptions import TaskLost
from taskworks.steps.requests import Record, Request
from taskworks.store import alias_for, store

if TYPE_CHECKING:
    from taskworks.execution.attempt import Attempt

LOOK_INTERVAL = 0.2  # seconds; a task can be interrupted between two looks at its answer


def claim_lost(run_id: UUID) -> TaskLost:
    """Return what is raised in an attempt whose run is no longer this worker's."""
    return TaskLost(
        f"Run {run_id} is no longer this worker's, and another one may be executing it. Nothing "
        "that this attempt does is recorded any more."
    )


class AttemptRecorder:
    """
    Has the requests of an attempt answered over the worker's own connection, and executes atomic
    steps over the task's.
    """

    def __init__(self, attempt: "Attempt") -> None:
        self._attempt = attempt

    @property
    def is_transactional(self) -> bool:
        return self._attempt.policy.transactional

    def now(self) -> datetime:
        return self._attempt.now()

    def ask(self, request: Request) -> Any:
        # Not an Event: an interrupted task might leave its lock taken.
        answers: SimpleQueue[Any] = SimpleQueue()
        self._attempt.ask(request, answers.put)
        while True:
            with suppress(Empty):
                return _checked(answers.get(timeout=LOOK_INTERVAL))

    async def aask(self, request: Request) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def answered(given: Any) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(_set, answer, given)

        self._attempt.ask(request, answered)
        return _checked(await answer)

    def atomically(self, call: Callable[[], tuple[Any, Record]]) -> Any:
        run = self._attempt.run
        alias = alias_for(run.backend)
        if alias != DEFAULT_DB_ALIAS:
            raise RuntimeError(
                f"atomic=True cannot be used: runs are stored in the database {alias!r}, and tasks "
                f"write to {DEFAULT_DB_ALIAS!r}. One transaction needs one database."
            )
        with writing(alias):
            value, record = called_inside(connections[alias], call)
            if not store(alias).record_step(run, record):
                raise claim_lost(run.id)
        return value


def _set(answer: "asyncio.Future[Any]", given: Any) -> None:
    if not answer.done():
        answer.set_result(given)


def _checked(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer
