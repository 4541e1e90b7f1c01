"""``TaskResult``: the standard's snapshot of a run, with which to cancel, retry and await it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar

from asgiref.sync import sync_to_async

from taskworks import framework, polling
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.polling import Timeout

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:
    # Declared again for type checkers without django-stubs.
    class _Standard(framework.TaskResult[P, R], Generic[P, R]):
        @property
        def return_value(self) -> R: ...

else:

    class _Standard(framework.TaskResult, Generic[P, R]):
        __slots__ = ()


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """A message that a task added to its run."""

    at: datetime
    level: str  # debug, info, warning or error
    text: str


def message(entry: dict[str, str]) -> TaskMessage:
    """Return the message of a stored entry."""
    return TaskMessage(datetime.fromisoformat(entry["at"]), entry["level"], entry["text"])


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult(_Standard[P, R]):  # type: ignore[misc] # only Django's stubs have it unfrozen
    """A snapshot of a run, with methods to refresh, cancel, retry and await it."""

    target: int | None = None  # what progress counts up to
    progress: int | None = None
    messages: list[TaskMessage] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    is_cancelled: bool = False
    cancel_requested: bool = False
    # False if the call that returned this has met a run that was enqueued before; None if that is
    # only known when the caller's transaction commits.
    is_new: bool | None = field(default=True, compare=False)

    def refresh(self) -> None:
        """Read the run again; raise TaskResultDoesNotExist if it is gone."""
        self._take_over(self.task.get_backend().get_result(self.id))

    async def arefresh(self) -> None:
        """See refresh()."""
        self._take_over(await self.task.get_backend().aget_result(self.id))

    def cancel(self) -> bool:
        """
        Cancel the run and refresh this result; return False if the run had finished before.

        A waiting run never starts. A running one is asked to stop, and then interrupted; if it
        succeeds all the same, it stays successful.

        Raise NotImplementedError if the backend cannot cancel runs.
        """
        cancelled: bool = self._controller("cancel")(self.id)
        self.refresh()
        return cancelled

    async def acancel(self) -> bool:
        """See cancel()."""
        return await sync_to_async(self.cancel)()

    def retry(self, *, fresh: bool = False) -> bool:
        """
        Make a failed or cancelled run ready again under its id, and refresh this result; return
        False if it is neither. Its errors are kept; its failures are counted from 0 again. Steps
        that it has recorded are not repeated, unless ``fresh``: then they are forgotten, with the
        events that were sent to it.

        Raise NotImplementedError if the backend cannot retry runs.
        """
        retry = self._controller("retry")
        retried: bool = retry(self.id, fresh=True) if fresh else retry(self.id)
        self.refresh()
        return retried

    async def aretry(self, *, fresh: bool = False) -> bool:
        """See retry()."""
        return await sync_to_async(self.retry)(fresh=fresh)

    def send(self, name: str, value: Any = None) -> bool:
        """
        Send an event, with a value that is JSON, to the run, which may wait for it now or later:
        see ``TaskContext.wait``. Return True if it is the first with this name. Return False, and
        change nothing, if another was first, if the wait has timed out, or if the run has
        succeeded. In a transaction, the event is sent when that commits.

        Raise TypeError or ValueError for a value or a name that cannot be stored,
        TaskResultDoesNotExist if the run was deleted, NotImplementedError if the backend does not
        store runs.
        """
        sent: bool = self._controller("send", "send events to")(self.id, name, value)
        return sent

    async def asend(self, name: str, value: Any = None) -> bool:
        """See send()."""
        return await sync_to_async(self.send)(name, value)

    def wait(self, timeout: Timeout = None) -> Self:
        """Wait until the run has finished, and return this result, refreshed; see wait_for()."""
        wait_for([self], timeout)
        return self

    async def await_(self, timeout: Timeout = None) -> Self:
        """See wait()."""
        await await_for([self], timeout)
        return self

    def _controller(self, verb: str, in_words: str = "") -> Any:
        backend = self.task.get_backend()
        if not hasattr(backend, verb):
            raise NotImplementedError(
                f"The backend {backend.alias!r} ({type(backend).__name__}) cannot "
                f"{in_words or verb} runs."
            )
        return getattr(backend, verb)

    def _take_over(self, latest: Any) -> None:
        for name in REFRESHED:
            if hasattr(latest, name):
                object.__setattr__(self, name, getattr(latest, name))


def snapshot(**fields: Any) -> TaskResult[..., Any]:
    """
    Return a result with all of these fields, whose values must be JSON already and not be shared.

    This does what the class does in a third of the time, which matters for thousands of runs.
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


def as_our_result(result: Any) -> "TaskResult[..., Any]":
    """Return a result of the standard's class as a ``TaskResult`` of Taskworks."""
    if isinstance(result, TaskResult):
        return result
    fields = {name: getattr(result, name) for name in framework.TaskResult.__dataclass_fields__}
    return_value = fields.pop("_return_value")
    converted: TaskResult[..., Any] = TaskResult(**fields)
    object.__setattr__(converted, "_return_value", return_value)
    return converted


Results = Iterable["TaskResult[..., Any]"]


def wait_for(results: Results, timeout: Timeout = None) -> "list[TaskResult[..., Any]]":
    """
    Wait until all of these runs have finished, and return their results, refreshed.

    Polls with one query per backend, again after 20 ms, then at growing intervals of up to one
    second.

    Raise TimeoutError after ``timeout`` seconds; TaskResultDoesNotExist if a run was deleted;
    RuntimeError inside a transaction on the tables' database, in which workers cannot see new runs,
    and this cannot see that they have finished.
    """
    awaited = list(results)
    polling.wait_until(*_finish_of(awaited, timeout))
    return awaited


async def await_for(results: Results, timeout: Timeout = None) -> "list[TaskResult[..., Any]]":
    """See wait_for()."""
    awaited = list(results)
    await polling.await_until(*_finish_of(awaited, timeout))
    return awaited


def _finish_of(
    results: Sequence[Any], timeout: Timeout
) -> tuple[Callable[[], bool], Timeout, Callable[[str], str]]:
    """Return what to wait for, how long, and what to say when that is over."""

    def have_finished() -> bool:
        _poll(results)
        return not _pending(results)

    def overdue(limit: str) -> str:
        pending = _pending(results)
        return (
            f"{len(pending)} of {len(results)} runs have not finished within {limit}, "
            f"such as {pending[0].id}."
        )

    return have_finished, timeout, overdue


def _pending(results: Sequence[Any]) -> list[Any]:
    return [result for result in results if not result.is_finished]


def _poll(results: Sequence[Any]) -> None:
    """Refresh the results of runs that have finished, with one or two queries per backend."""
    pending = _pending(results)
    for alias in {result.backend for result in pending}:
        _poll_backend([result for result in pending if result.backend == alias])


def _poll_backend(results: list[Any]) -> None:
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
