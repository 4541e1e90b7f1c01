"""
Pause, resume, clear and drain queues, change limits, stop workers, retry groups of failures, and
say why a run waits.

A pause is a row. Every worker of the backend heeds it, whenever it was started, until somebody
resumes the queue or the pause ends by itself. What runs goes on; what waits keeps its place.

Names that need models are imported when they are used, because modules of tasks may be imported
before models are ready.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import EllipsisType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from taskworks import polling, real_time
from taskworks.backends.database import (
    MAX_QUEUE_NAME,
    DatabaseBackend,
    refuse_to_wait_in_a_transaction,
)
from taskworks.conf import nearest
from taskworks.context import current_context
from taskworks.database import clock
from taskworks.exceptions import InvalidTaskBackend, TaskCancelled, TaskResultDoesNotExist
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.jsonvalue import can_be_stored
from taskworks.options.names import is_name
from taskworks.polling import Timeout
from taskworks.signals import announce_cancelled, is_cancellation_heard

if TYPE_CHECKING:
    from taskworks.actions.failure_actions import Retried
    from taskworks.models import FailureGroup, Limit, Pause, RunState, Worker
    from taskworks.result import TaskResult
    from taskworks.store import Store

__all__ = [
    "aannotate_failures",
    "achange_limit",
    "aclear",
    "adrain",
    "amute_failures",
    "annotate_failures",
    "apause",
    "apauses",
    "aresume",
    "aretry_failures",
    "astop_worker",
    "awhy_waiting",
    "change_limit",
    "clear",
    "drain",
    "mute_failures",
    "pause",
    "pauses",
    "resume",
    "retry_failures",
    "stop_worker",
    "why_waiting",
]

HEEDED_WITHIN = 0.2  # seconds after which a worker begins no run of a queue that was paused
CLEARED_PER_TRANSACTION = 1000  # runs
MAX_REASON, MAX_BY, MAX_NOTE = 1000, 255, 10_000  # characters

CANCELLATION = {
    "exception_class_path": f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}",
    "traceback": f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}: "
    "The run was cancelled when its queue was cleared.\n",
}

Until = datetime | timedelta | None


# Pause and resume.


def pause(
    queue: str,
    *,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    until: Until = None,
    reason: str = "",
    by: str = "",
    wait: bool = False,
    timeout: Timeout = None,
) -> "Pause":
    """
    Have no worker begin a run of this queue, ``until`` then, or until ``resume``. Runs that have
    begun go on. Others wait and keep their places; they become due, and expire, as always.

    ``until`` is a datetime, or a timedelta from now, by the database's clock. ``reason`` and ``by``
    are for people. A queue that is paused already gets the new end, reason and name. In a
    transaction the pause counts from its commit.

    With ``wait``, return when no run of the queue is in hand any more, and none will be; raise
    TimeoutError after ``timeout`` seconds, with the queue paused.

    Raise ValueError for a queue that the backend does not have, or an end that is not in the
    future; NotImplementedError for a backend that does not store runs; RuntimeError if it is to
    wait inside a transaction, or in a run of this queue. Then the queue is not paused.
    """
    paused = _paused(queue, backend, until, reason, by, wait=wait)
    if wait:
        polling.wait_until(*_end_of_runs(queue, backend, timeout))
    return paused


async def apause(
    queue: str,
    *,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    until: Until = None,
    reason: str = "",
    by: str = "",
    wait: bool = False,
    timeout: Timeout = None,
) -> "Pause":
    """See pause()."""
    paused = await sync_to_async(_paused)(queue, backend, until, reason, by, wait=wait)
    if wait:
        await polling.await_until(*_end_of_runs(queue, backend, timeout))
    return paused


def resume(queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> bool:
    """
    End the pause of a queue; return False if it was not paused. In a transaction this counts from
    its commit.
    """
    from taskworks.store import store

    _validate_name(queue)
    return store().resume_queue(backend, queue)


async def aresume(queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> bool:
    """See resume()."""
    return await sync_to_async(resume)(queue, backend=backend)


def pauses() -> "list[Pause]":
    """Return the pauses in force, by backend and queue."""
    from taskworks.store import store

    return [*store().pauses.in_force().order_by("backend", "kind", "name", "key")]


async def apauses() -> "list[Pause]":
    """See pauses()."""
    return await sync_to_async(pauses)()


def validate_pause(queue: str, backend: str, until: Until, reason: str, by: str) -> datetime | None:
    """Raise what ``pause`` raises for these values; return the end of the pause as it is stored."""
    validate_queue(queue, backend)
    _validate_text("reason", reason, MAX_REASON)
    _validate_text("by", by, MAX_BY)
    return stored_end(until)


def _paused(queue: str, backend: str, until: Until, reason: str, by: str, *, wait: bool) -> "Pause":
    from taskworks.store import store

    end = validate_pause(queue, backend, until, reason, by)
    if wait:
        _refuse_to_wait(queue, backend)
    return store().pause_queue(backend, queue, until=end, reason=reason, by=by)


def _end_of_runs(
    queue: str, backend: str, timeout: Timeout
) -> tuple[Callable[[], bool], Timeout, Callable[[str], str]]:
    from taskworks.store import store

    heeded_at = real_time.monotonic() + HEEDED_WITHIN

    def none_is_in_hand() -> bool:
        if real_time.monotonic() < heeded_at:
            return False
        return not store().use_of_queue(backend, queue).in_hand

    def overdue(limit: str) -> str:
        return (
            f"The queue {queue!r} of the backend {backend!r} is paused, but workers still have "
            f"runs of it after {limit}."
        )

    return none_is_in_hand, timeout, overdue


# Clear.


def clear(queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> int:
    """
    Cancel the runs of a queue that wait: ready, scheduled and blocked ones that were enqueued
    before. Return how many. Runs that workers have are spared, and so are rows that another session
    has locked for longer.

    Outside a transaction, up to 1,000 runs are cancelled in each of its own.

    Raise ValueError for a queue that the backend does not have, NotImplementedError for a backend
    that does not store runs.
    """
    from taskworks.store import store

    cancels_for = validate_queue(queue, backend)
    store().lock_to_write()
    before, cleared = store().read_clock(), 0
    while ended := sum(
        _announced(cancels_for, ids) for ids in _cancel_all(store(), backend, queue, before)
    ):
        cleared += ended  # and once more: some may have been locked, or have moved on
    return cleared


async def aclear(queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS) -> int:
    """See clear()."""
    return await sync_to_async(clear)(queue, backend=backend)


def _cancel_all(store: "Store", backend: str, queue: str, before: datetime) -> Iterator[set[UUID]]:
    """Yield the ids of the runs cancelled in each transaction."""
    from taskworks.store.cancelling import WAITING

    for state in WAITING:
        yield from _cancel_in(store, backend, queue, state, before)


def _cancel_in(
    store: "Store", backend: str, queue: str, state: "RunState", before: datetime
) -> Iterator[set[UUID]]:
    spared: set[UUID] = set()
    limit = CLEARED_PER_TRANSACTION
    while len(spared) < limit:
        ids = store.waiting_in_queue(
            backend, queue, state, before=before, except_for=spared, limit=limit
        )
        if not ids:
            break
        cancelled = store.cancel_waiting(ids, CANCELLATION)
        spared |= {*ids} - cancelled
        yield cancelled


def _announced(backend: DatabaseBackend, ids: set[UUID]) -> int:
    """Send the signals of these cancelled runs; return how many there are."""
    if is_cancellation_heard():
        for result in backend.get_results(map(str, ids)).values():
            announce_cancelled(type(backend), result)
    return len(ids)


# Drain.


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
    _validate_drain(queue, backend)
    polling.wait_until(*_end_of_work(queue, backend, timeout))


async def adrain(
    queue: str, *, backend: str = DEFAULT_TASK_BACKEND_ALIAS, timeout: Timeout = None
) -> None:
    """See drain()."""
    await sync_to_async(_validate_drain)(queue, backend)
    await polling.await_until(*_end_of_work(queue, backend, timeout))


def _validate_drain(queue: str, backend: str) -> None:
    validate_queue(queue, backend)
    _refuse_to_wait(queue, backend)


def _end_of_work(
    queue: str, backend: str, timeout: Timeout
) -> tuple[Callable[[], bool], Timeout, Callable[[str], str]]:
    from taskworks.store import store

    def is_drained() -> bool:
        return not any(store().use_of_queue(backend, queue))

    def overdue(limit: str) -> str:
        paused = store().pauses.in_force().of_queue(backend, queue).first()
        remedy = f"; resume it, because it is {paused.in_words}" if paused else "."
        return f"The queue {queue!r} of the backend {backend!r} has work after {limit}{remedy}"

    return is_drained, timeout, overdue


# Limits.


def change_limit(
    name: str, *, at_once: int | EllipsisType | None = ..., total: int | EllipsisType | None = ...
) -> "Limit":
    """
    Change the numbers that are given of a limit, for all workers, and return its row; None is no
    limit. A number holds, also after deploys and restarts, until code or settings declare another
    one in its place. What runs goes on if there are too many of them now; nothing more begins until
    there are not.

    Raise ValueError for a number that is not a positive integer, and for a limit that nobody
    declares.
    """
    from taskworks.actions import limits

    given = {"at_once": at_once, "total": total}
    return limits.change(
        name, **{n: value for n, value in given.items() if not isinstance(value, EllipsisType)}
    )


async def achange_limit(
    name: str, *, at_once: int | EllipsisType | None = ..., total: int | EllipsisType | None = ...
) -> "Limit":
    """See change_limit()."""
    return await sync_to_async(change_limit)(name, at_once=at_once, total=total)


# Workers.


def stop_worker(worker: UUID | str, *, drain: bool = False) -> "Worker":
    """
    Have the worker with this id end, wherever it runs, and return its row. It claims nothing more,
    and interrupts what takes longer than ``SHUTDOWN_TIMEOUT``, as after SIGTERM; with ``drain`` it
    lets its tasks end, however long they take. It hears of it with its next heartbeat. What has
    started the worker may start another.

    Raise ValueError for an id that is malformed, or no living worker's.
    """
    from taskworks.actions import worker_actions
    from taskworks.models.worker import Request

    return worker_actions.ask(worker, Request.DRAIN if drain else Request.STOP)


async def astop_worker(worker: UUID | str, *, drain: bool = False) -> "Worker":
    """See stop_worker()."""
    return await sync_to_async(stop_worker)(worker, drain=drain)


# Failures.


def retry_failures(fingerprint: str, *, within: timedelta | None = None) -> "Retried":
    """
    Retry the failed runs of this group, each as ``TaskResult.retry`` does, and return how many were
    retried and how many could not be; only those that failed ``within`` this time, if it is given.

    Raise ValueError if there is no such group.
    """
    from taskworks.actions import failure_actions

    return failure_actions.retry(fingerprint, within=within)


async def aretry_failures(fingerprint: str, *, within: timedelta | None = None) -> "Retried":
    """See retry_failures()."""
    return await sync_to_async(retry_failures)(fingerprint, within=within)


def mute_failures(fingerprint: str, *, until: Until) -> "FailureGroup":
    """
    Leave this group out of lists ``until`` then, a datetime or a timedelta from now; None ends
    that. Return its row.

    Raise ValueError if there is no such group, or for an end that is not in the future.
    """
    from taskworks.actions import failure_actions

    return failure_actions.mute(fingerprint, stored_end(until))


async def amute_failures(fingerprint: str, *, until: Until) -> "FailureGroup":
    """See mute_failures()."""
    return await sync_to_async(mute_failures)(fingerprint, until=until)


def annotate_failures(fingerprint: str, note: str) -> "FailureGroup":
    """
    Write a note for people about this group, in place of the one before, and return its row.

    Raise ValueError if there is no such group, or for a note that is too long.
    """
    from taskworks.actions import failure_actions

    _validate_text("note", note, MAX_NOTE)
    return failure_actions.annotate(fingerprint, note)


async def aannotate_failures(fingerprint: str, note: str) -> "FailureGroup":
    """See annotate_failures()."""
    return await sync_to_async(annotate_failures)(fingerprint, note)


# Why a run waits.


def why_waiting(result: "TaskResult[..., Any]") -> str | None:
    """
    Return, in a sentence for people, why no worker has this run now; None if one has, or if the run
    has finished.

    Raise TaskResultDoesNotExist if the run was deleted, NotImplementedError for a backend that does
    not store runs.
    """
    from taskworks.actions import waiting
    from taskworks.store import store

    _backend(result.backend)
    run = store().runs.filter(id=result.id, backend=result.backend).first()
    if run is None:
        raise TaskResultDoesNotExist(result.id)
    return waiting.why_waiting(run)


async def awhy_waiting(result: "TaskResult[..., Any]") -> str | None:
    """See why_waiting()."""
    return await sync_to_async(why_waiting)(result)


# Validate.


def validate_queue(queue: str, alias: str) -> DatabaseBackend:
    """Return the backend; raise an error unless it stores runs, and has such a queue."""
    _validate_name(queue)
    backend = _backend(alias)
    if backend.queues and queue not in backend.queues and not _has_runs(queue, alias):
        raise ValueError(
            f"The backend {alias!r} has no queue {queue!r} in TASKS, and no run that waits or is "
            f"executed in it.{nearest(queue, sorted(backend.queues))}"
        )
    return backend


def _refuse_to_wait(queue: str, backend: str) -> None:
    """Raise RuntimeError where the runs of this queue would never be seen to end."""
    from taskworks.store import store

    refuse_to_wait_in_a_transaction(store().alias, f"the runs of the queue {queue!r}")
    context = current_context()
    if context is None:
        return
    run = context.task_result
    if (run.backend, run.task.queue_name) == (backend, queue):
        raise RuntimeError(
            f"The run {run.id} is in the queue {queue!r} itself, and would wait for its own end. "
            "Enqueue it in another queue."
        )


def _has_runs(queue: str, alias: str) -> bool:
    """Return whether the queue has an unfinished run: TASKS may have had the queue before."""
    from taskworks.models.run import UNFINISHED
    from taskworks.store import store

    runs = store().runs.filter(backend=alias, queue_name=queue)
    return runs.filter(state__in=UNFINISHED).exists()


def _validate_name(queue: Any) -> None:
    if not is_name(queue, MAX_QUEUE_NAME):
        raise ValueError(
            f"The name of a queue must be 1 to {MAX_QUEUE_NAME} printable characters without "
            f"surrounding spaces, not {queue!r}."
        )


def _backend(alias: str) -> DatabaseBackend:
    if alias not in [*task_backends]:
        raise InvalidTaskBackend(
            f"TASKS has no backend {alias!r}.{nearest(str(alias), [*task_backends])}"
        )
    backend = task_backends[alias]
    if not isinstance(backend, DatabaseBackend):
        raise NotImplementedError(
            f"The backend {alias!r}, a {type(backend).__name__}, does not store runs, so nothing "
            "waits in its queues."
        )
    return backend


def _validate_text(name: str, text: Any, most: int) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} must be a string, not {text!r}.")
    if len(text) > most:
        raise ValueError(f"{name} must be at most {most} characters long, not {len(text)}.")
    if not can_be_stored(text):
        raise ValueError(f"{name} must not contain NUL or half of a surrogate pair: {text!r}.")


def stored_end(until: Until) -> datetime | None:
    """Return the end of a pause as it is stored; raise an error unless that is in the future."""
    from taskworks.store import store

    if until is None:
        return None
    now = store().read_clock()
    try:
        end = clock.later(now, until) if isinstance(until, timedelta) else _as_stored(until)
    except OverflowError:
        raise ValueError(f"until must be before the year 10000, not {until!r}.") from None
    if end <= now:
        raise ValueError(
            f"until must be in the future: {until} is not after {now}, the database's time."
        )
    return end


def _as_stored(until: Any) -> datetime:
    if not isinstance(until, datetime):
        raise TypeError(f"until must be a datetime, a timedelta or None, not {until!r}.")
    if timezone.is_aware(until):
        return clock.as_stored(until.astimezone(UTC))
    if settings.USE_TZ:
        raise ValueError(f"until must have a time zone, because USE_TZ is on: {until}.")
    return until
