"""``TaskResult``: the standard's snapshot of a run, which can be cancelled, retried, waited for."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from asgiref.sync import sync_to_async

from taskworks import framework
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.retry import seconds

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    # Said once more, for those who check their types without django-stubs.
    class _Standard(framework.TaskResult[P, R], Generic[P, R]):
        @property
        def return_value(self) -> R: ...

else:

    class _Standard(framework.TaskResult, Generic[P, R]):
        __slots__ = ()


Timeout = float | timedelta | None

SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 1.0  # seconds between two looks at what is waited for


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """Something that a task has said while it was running."""

    at: datetime
    level: str  # debug, info, warning or error
    text: str


def message(entry: dict[str, str]) -> TaskMessage:
    """The message of a stored entry."""
    return TaskMessage(datetime.fromisoformat(entry["at"]), entry["level"], entry["text"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(_Standard[P, R]):  # type: ignore[misc] # only Django's stubs have it unfrozen
    """A run as it stood when it was read, and what can be done about it."""

    target: int | None = None  # what progress counts up to
    progress: int | None = None
    messages: list[TaskMessage] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    is_cancelled: bool = False
    cancel_requested: bool = False

    def refresh(self) -> None:
        """Read the run again; raise TaskResultDoesNotExist if it is gone."""
        self._take_over(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self._take_over(await self.task.get_backend().aget_result(self.id))

    def cancel(self) -> bool:
        """
        Cancel the run, and refresh this result; False if it had finished before.

        A run that waits never starts. One that is executed is asked to stop, and then made to;
        if it succeeds all the same, that stands. Raise NotImplementedError if the backend cannot.
        """
        cancelled: bool = self._controller("cancel")(self.id)
        self.refresh()
        return cancelled

    async def acancel(self) -> bool:
        """See cancel()."""
        return await sync_to_async(self.cancel)()

    def retry(self) -> bool:
        """
        Run a failed or cancelled run again under its id, and refresh this result; False if it has
        not failed. Its errors are kept, its failures count from nought. Raise NotImplementedError
        if the backend cannot.
        """
        retried: bool = self._controller("retry")(self.id)
        self.refresh()
        return retried

    async def aretry(self) -> bool:
        """See retry()."""
        return await sync_to_async(self.retry)()

    def wait(self, timeout: Timeout = None) -> Self:
        """Wait until the run has finished, and return this result, refreshed; see wait_for()."""
        wait_for([self], timeout)
        return self

    async def await_(self, timeout: Timeout = None) -> Self:
        """See wait()."""
        await await_for([self], timeout)
        return self

    def _controller(self, verb: str) -> Any:
        backend = self.task.get_backend()
        if not hasattr(backend, verb):
            raise NotImplementedError(
                f"The backend {backend.alias!r}, a {type(backend).__name__}, cannot {verb} runs."
            )
        return getattr(backend, verb)

    def _take_over(self, latest: Any) -> None:
        for name in REFRESHED:
            if hasattr(latest, name):
                object.__setattr__(self, name, getattr(latest, name))


def snapshot(**fields: Any) -> TaskResult[..., Any]:
    """
    A result of all of these fields, whose values are JSON already, and nobody else's: as its class
    makes it, for a third of the price, which whoever enqueues thousands at once would feel.
    """
    result: TaskResult[..., Any] = object.__new__(TaskResult)
    write = object.__setattr__
    for name, value in fields.items():
        write(result, name, value)
    return result


REFRESHED = (
    "errors",
    "_return_value",
    "finished_at",
    "started_at",
    "last_attempted_at",
    "status",
    "enqueued_at",
    "worker_ids",
    "target",
    "progress",
    "messages",
    "metadata",
    "is_cancelled",
    "cancel_requested",
)


def ours(result: Any) -> "TaskResult[..., Any]":
    """A result of the standard's class as one of ours."""
    if isinstance(result, TaskResult):
        return result
    fields = {name: getattr(result, name) for name in framework.TaskResult.__dataclass_fields__}
    return_value = fields.pop("_return_value")
    own: TaskResult[..., Any] = TaskResult(**fields)
    object.__setattr__(own, "_return_value", return_value)
    return own


Results = Iterable["TaskResult[..., Any]"]


def wait_for(results: Results, timeout: Timeout = None) -> "list[TaskResult[..., Any]]":
    """
    Wait until all of these runs have finished, and return their results, refreshed.

    Looks with one query for all, at first after 20 ms, then ever more rarely, at last once a
    second. Raise TimeoutError after ``timeout`` seconds, TaskResultDoesNotExist if one of them is
    deleted meanwhile, RuntimeError inside a transaction of the tables' database, in which a run
    that waits could neither be seen by a worker nor be seen to finish.
    """
    waited_for = list(results)
    for pause in _pauses(waited_for, timeout):
        _look(waited_for)
        if not _pending(waited_for):
            break
        time.sleep(pause)
    return waited_for


async def await_for(results: Results, timeout: Timeout = None) -> "list[TaskResult[..., Any]]":
    """See wait_for()."""
    waited_for = list(results)
    for pause in _pauses(waited_for, timeout):
        await sync_to_async(_look)(waited_for)
        if not _pending(waited_for):
            break
        await asyncio.sleep(pause)
    return waited_for


def _pauses(results: Sequence[Any], timeout: Timeout) -> Iterator[float]:
    """The pauses between two looks; the last look is when the time is over."""
    limit = None if timeout is None else seconds(timeout, "timeout")
    deadline = None if limit is None else time.monotonic() + limit
    pause = SHORTEST_PAUSE
    while True:
        left = pause if deadline is None else deadline - time.monotonic()
        yield max(0.0, min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)
        if deadline is not None and left <= 0:
            pending = _pending(results)
            raise TimeoutError(
                f"{len(pending)} of {len(results)} runs have not finished within {limit:g} s, "
                f"such as {pending[0].id}."
            )


def _pending(results: Sequence[Any]) -> list[Any]:
    return [result for result in results if not result.is_finished]


def _look(results: Sequence[Any]) -> None:
    """Refresh those that have finished, with a query or two a backend."""
    pending = _pending(results)
    for alias in {result.backend for result in pending}:
        _look_at_backend([result for result in pending if result.backend == alias])


def _look_at_backend(results: list[Any]) -> None:
    backend = results[0].task.get_backend()
    if not hasattr(backend, "finished_among"):
        for result in results:
            result.refresh()
        return
    finished = backend.finished_among([result.id for result in results])
    latest = backend.get_results(finished)
    for result in results:
        if result.id in finished:
            if result.id not in latest:
                raise TaskResultDoesNotExist(result.id)
            result._take_over(latest[result.id])
