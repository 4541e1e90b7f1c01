"""Pause and resume a queue, a task, a limit or a key of it, and say what is paused."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from taskworks import polling
from taskworks.control.scope import scope_of
from taskworks.polling import Timeout

if TYPE_CHECKING:
    from taskworks.models import Pause
    from taskworks.models.pause import Scope

Until = datetime | timedelta | None


def pause(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
    until: Until = None,
    reason: str = "",
    by: str = "",
    wait: bool = False,
    timeout: Timeout = None,
) -> "Pause":
    """
    Keep workers from beginning runs of this queue of a backend (by default "default"), of this
    ``task`` or its path, of this ``limit``, or of this ``key`` of the limit, ``until`` then, or
    until ``resume``. Runs that have begun continue. Others wait and keep their places; they become
    due, and expire, as usual.

    ``until`` is a datetime, or a timedelta from now, by the database's clock. ``reason`` and ``by``
    are for people. If it is paused already, the end, the reason and the name are replaced. In a
    transaction, the pause takes effect with its commit.

    With ``wait``, return when none of its runs is in hand, and none will be; raise TimeoutError
    after ``timeout`` seconds, with the pause in force.

    Raise ValueError for a queue that the backend does not have, a task that cannot be imported and
    has no unfinished run, a limit that is unknown, a key that it cannot have, or one more than 100
    paused keys of it, and for an end that is not in the future; NotImplementedError for a backend
    that does not store runs; RuntimeError if it is to wait inside a transaction, or in a run of
    what it pauses. Then nothing is paused.
    """
    scope = scope_of(queue, task, limit, key, backend)
    paused = _pause(scope, until, reason, by, wait=wait)
    if wait:
        polling.wait_until(*_end_of_runs(scope, timeout))
    return paused


async def apause(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
    until: Until = None,
    reason: str = "",
    by: str = "",
    wait: bool = False,
    timeout: Timeout = None,
) -> "Pause":
    """See pause()."""
    scope = await sync_to_async(scope_of)(queue, task, limit, key, backend)
    paused = await sync_to_async(_pause)(scope, until, reason, by, wait=wait)
    if wait:
        await polling.await_until(*_end_of_runs(scope, timeout))
    return paused


def resume(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
) -> bool:
    """
    End the pause of a queue, a task, a limit or a key of it; return False if it was not paused. In
    a transaction, this takes effect with its commit.
    """
    from taskworks.actions import pausing

    return pausing.resume(scope_of(queue, task, limit, key, backend))


async def aresume(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
) -> bool:
    """See resume()."""
    return await sync_to_async(resume)(queue, task=task, limit=limit, key=key, backend=backend)


def pauses() -> "list[Pause]":
    """Return the pauses in force, by backend, kind, name and key; of each database in turn."""
    from taskworks.actions import pausing

    return pausing.pauses()


async def apauses() -> "list[Pause]":
    """See pauses()."""
    return await sync_to_async(pauses)()


def _pause(scope: "Scope", until: Until, reason: str, by: str, *, wait: bool) -> "Pause":
    from taskworks.actions import pausing

    return pausing.pause(scope, until=until, reason=reason, by=by, wait=wait)


def _end_of_runs(
    scope: "Scope", timeout: Timeout
) -> tuple[Callable[[], bool], Timeout, Callable[[str], str]]:
    from taskworks.actions import pausing

    return pausing.end_of_runs(scope, timeout)
