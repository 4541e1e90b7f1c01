"""``self.request``: what a task can ask about the call that is being executed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from taskworks.context import TaskContext, current_context
from taskworks.framework import ImmediateBackend


@dataclass(kw_only=True)
class Request:
    """A call of a task. One that no worker makes has no id, and is ``called_directly``."""

    task: str = ""  # its name
    id: str | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 0  # how many attempts have failed before
    called_directly: bool = True
    is_eager: bool = False
    hostname: str | None = None  # the id of the worker
    delivery_info: Mapping[str, Any] = field(default_factory=dict)
    parent_id: None = None
    group: None = None
    gave_up: bool = False  # retry() has raised what it was given: there were enough

    @property
    def root_id(self) -> str | None:
        """The id, because runs have no parents here."""
        return self.id

    correlation_id = root_id

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default if a request has no such attribute."""
        return getattr(self, name, default)


# The calls that are being executed here, the innermost first.
_calls: ContextVar[tuple[Request, ...]] = ContextVar("taskworks_celery_calls", default=())


@contextmanager
def executing(request: Request) -> Iterator[Request]:
    """Make this the request of its task, until the block ends."""
    token = _calls.set((request, *_calls.get()))
    try:
        yield request
    finally:
        _calls.reset(token)


def request_of(name: str) -> Request:
    """Return the request of the task with this name; an empty one if no call is executed."""
    own = (request for request in _calls.get() if request.task == name)
    return next(own, None) or Request(task=name)


def from_context(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Request:
    """Return the request of a call, which a worker makes if there is a context."""
    context = current_context()
    if context is None:
        return Request(task=name, args=args, kwargs=kwargs)
    result = context.task_result
    return Request(
        task=name,
        id=result.id,
        args=args,
        kwargs=kwargs,
        retries=context._failures,
        called_directly=False,
        is_eager=isinstance(result.task.get_backend(), ImmediateBackend),
        hostname=result.worker_ids[-1] if result.worker_ids else None,
        delivery_info=_delivery(context),
    )


def _delivery(context: TaskContext) -> dict[str, Any]:
    task = context.task_result.task
    return {
        "exchange": "",
        "routing_key": task.queue_name,
        "priority": task.priority,
        # An attempt before this one has ended without an outcome: its worker died.
        "redelivered": context.attempt > context._failures + 1,
    }
