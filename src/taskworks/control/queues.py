"""Clear what waits in a queue, or for a task, a limit or a key, and wait until a queue is empty."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from taskworks import polling
from taskworks.control.scope import scope_of
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.polling import Timeout

if TYPE_CHECKING:
    from taskworks.models.pause import Scope


def clear(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
) -> int:
    """
    Cancel the waiting runs of a queue, a task, a limit or a key of it: ready, scheduled and blocked
    ones that were enqueued before. Return how many. Runs that workers have claimed are not
    cancelled, nor are rows that another session keeps locked.

    Outside a transaction, up to 1,000 runs are cancelled in each of its own.

    Raise ValueError for what ``pause`` would refuse, NotImplementedError for a backend that does
    not store runs.
    """
    from taskworks.actions import clearing, scopes

    scope = scope_of(queue, task, limit, key, backend)
    scopes.demand(scope)
    return clearing.clear(scope)


async def aclear(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
) -> int:
    """See clear()."""
    return await sync_to_async(clear)(queue, task=task, limit=limit, key=key, backend=backend)


def drain(
    queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS, timeout: Timeout = None
) -> None:
    """
    Wait until no run of a queue is ready or in hand. Runs that are scheduled or blocked do not
    count; those of a paused queue do, although nobody begins them.

    Raise TimeoutError after ``timeout`` seconds, ValueError for a queue that the backend does not
    have, NotImplementedError for a backend that does not store runs, RuntimeError inside a
    transaction, or in a run of this queue.
    """
    polling.wait_until(*_end_of_work(_to_drain(queue, backend), timeout))


async def adrain(
    queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS, timeout: Timeout = None
) -> None:
    """See drain()."""
    scope = await sync_to_async(_to_drain)(queue, backend)
    await polling.await_until(*_end_of_work(scope, timeout))


def _to_drain(queue: str, backend: str) -> "Scope":
    from taskworks.actions import scopes

    scope = scopes.scope_of(queue, backend=backend)
    scopes.demand(scope)
    scopes.refuse_to_wait(scope)
    return scope


def _end_of_work(
    scope: "Scope", timeout: Timeout
) -> tuple[Callable[[], bool], Timeout, Callable[[str], str]]:
    from taskworks.store import store_for

    store = store_for(scope.backend)

    def is_drained() -> bool:
        return not any(store.use_of_queue(scope.backend, scope.name))

    def overdue(limit: str) -> str:
        paused = store.pauses.in_force().of(scope).first()
        remedy = f"; resume it, because it is {paused.in_words}" if paused else "."
        return f"The {scope} has work after {limit}{remedy}"

    return is_drained, timeout, overdue
