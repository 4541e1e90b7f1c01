"""
Pause, resume and clear queues, tasks, limits and keys, drain queues, change limits, stop workers,
retry groups of failures, act on all runs that a filter means, and say why a run waits.

A pause is a row. Every worker heeds it, whenever it was started, until somebody ends it or it ends
by itself. What runs goes on; what waits keeps its place.

Names that need models are imported when they are used, because modules of tasks may be imported
before models are ready.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import EllipsisType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import sync_to_async

from taskworks import polling
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.polling import Timeout

if TYPE_CHECKING:
    from taskworks.actions.bulk import Preview
    from taskworks.actions.failure_actions import Retried
    from taskworks.actions.verbs import Done
    from taskworks.models import FailureGroup, Limit, Pause, Worker
    from taskworks.models.pause import Scope
    from taskworks.result import TaskResult

__all__ = [
    "aact_in_background",
    "aannotate_failures",
    "acancel_runs",
    "achange_limit",
    "aclear",
    "act_in_background",
    "adelete_runs",
    "adrain",
    "amove_runs",
    "amute_failures",
    "annotate_failures",
    "apause",
    "apauses",
    "apreview_runs",
    "aresume",
    "aretry_failures",
    "aretry_runs",
    "aretry_with",
    "arun_now",
    "astop_worker",
    "awhy_waiting",
    "cancel_runs",
    "change_limit",
    "clear",
    "delete_runs",
    "drain",
    "move_runs",
    "mute_failures",
    "pause",
    "pauses",
    "preview_runs",
    "resume",
    "retry_failures",
    "retry_runs",
    "retry_with",
    "run_now",
    "stop_worker",
    "why_waiting",
]

Until = datetime | timedelta | None


# Pause and resume.


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
    Have no worker begin a run of this queue of a backend (by default "default"), of this ``task``
    or its path, of this ``limit``, or of this ``key`` of the limit, ``until`` then, or until
    ``resume``. Runs that have begun go on. Others wait and keep their places; they become due, and
    expire, as always.

    ``until`` is a datetime, or a timedelta from now, by the database's clock. ``reason`` and ``by``
    are for people. What is paused already gets the new end, reason and name. In a transaction the
    pause counts from its commit.

    With ``wait``, return when no run of it is in hand any more, and none will be; raise
    TimeoutError after ``timeout`` seconds, with the pause in force.

    Raise ValueError for a queue that the backend does not have, a task that cannot be imported and
    has no unfinished run, a limit that is unknown, a key that it cannot have, or one more than 100
    paused keys of it, and for an end that is not in the future; NotImplementedError for a backend
    that does not store runs; RuntimeError if it is to wait inside a transaction, or in a run of
    what it pauses. Then nothing is paused.
    """
    scope = _scope(queue, task, limit, key, backend)
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
    scope = await sync_to_async(_scope)(queue, task, limit, key, backend)
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
    a transaction this counts from its commit.
    """
    from taskworks.actions import pausing

    return pausing.resume(_scope(queue, task, limit, key, backend))


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


def _scope(queue: Any, task: Any, limit: Any, key: Any, backend: Any) -> "Scope":
    from taskworks.actions.scopes import scope_of

    return scope_of(queue, task=task, limit=limit, key=key, backend=backend)


def _pause(scope: "Scope", until: Until, reason: str, by: str, *, wait: bool) -> "Pause":
    from taskworks.actions import pausing

    return pausing.pause(scope, until=until, reason=reason, by=by, wait=wait)


def _end_of_runs(
    scope: "Scope", timeout: Timeout
) -> tuple[Callable[[], bool], Timeout, Callable[[str], str]]:
    from taskworks.actions import pausing

    return pausing.end_of_runs(scope, timeout)


# Clear.


def clear(
    queue: str | None = None,
    *,
    task: Any = None,
    limit: str | None = None,
    key: Any = ...,
    backend: str | None = None,
) -> int:
    """
    Cancel the runs of a queue, a task, a limit or a key of it that wait: ready, scheduled and
    blocked ones that were enqueued before. Return how many. Runs that workers have are spared, and
    so are rows that another session has locked for longer.

    Outside a transaction, up to 1,000 runs are cancelled in each of its own.

    Raise ValueError for what ``pause`` would refuse, NotImplementedError for a backend that does
    not store runs.
    """
    from taskworks.actions import clearing, scopes

    scope = _scope(queue, task, limit, key, backend)
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


# Limits.


def change_limit(
    name: str,
    *,
    at_once: int | EllipsisType | None = ...,
    total: int | EllipsisType | None = ...,
    rate: str | EllipsisType | None = ...,
    burst: int | EllipsisType | None = ...,
    total_rate: str | EllipsisType | None = ...,
    total_burst: int | EllipsisType | None = ...,
) -> "Limit":
    """
    Change the numbers that are given of a limit, for all workers, and return its row; None is no
    limit, or the usual burst. A number holds, also after deploys and restarts, until code or
    settings declare another one in its place. What runs goes on if there are too many of them now;
    nothing more begins until there are not.

    Raise ValueError for a number that ``Limit`` would refuse, and for a limit that nobody declares.
    """
    from taskworks.actions import limits

    given = {
        "at_once": at_once,
        "total": total,
        "rate": rate,
        "burst": burst,
        "total_rate": total_rate,
        "total_burst": total_burst,
    }
    return limits.change(
        name, {n: value for n, value in given.items() if not isinstance(value, EllipsisType)}
    )


async def achange_limit(
    name: str,
    *,
    at_once: int | EllipsisType | None = ...,
    total: int | EllipsisType | None = ...,
    rate: str | EllipsisType | None = ...,
    burst: int | EllipsisType | None = ...,
    total_rate: str | EllipsisType | None = ...,
    total_burst: int | EllipsisType | None = ...,
) -> "Limit":
    """See change_limit()."""
    return await sync_to_async(change_limit)(
        name,
        at_once=at_once,
        total=total,
        rate=rate,
        burst=burst,
        total_rate=total_rate,
        total_burst=total_burst,
    )


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


def retry_failures(fingerprint: str, *, within: timedelta | None = None, by: Any = "") -> "Retried":
    """
    Retry the failed runs of this group, each as ``TaskResult.retry`` does, and return how many were
    retried and how many could not be; only those that failed ``within`` this time, if it is given.
    ``by``, a user or a name, is recorded.

    Raise ValueError if there is no such group.
    """
    from taskworks.actions import failure_actions

    return failure_actions.retry(fingerprint, within=within, by=by)


async def aretry_failures(
    fingerprint: str, *, within: timedelta | None = None, by: Any = ""
) -> "Retried":
    """See retry_failures()."""
    return await sync_to_async(retry_failures)(fingerprint, within=within, by=by)


def mute_failures(fingerprint: str, *, until: Until) -> "FailureGroup":
    """
    Leave this group out of lists ``until`` then, a datetime or a timedelta from now; None ends
    that. Return its row.

    Raise ValueError if there is no such group, or for an end that is not in the future.
    """
    from taskworks.actions import failure_actions

    return failure_actions.mute(fingerprint, until)


async def amute_failures(fingerprint: str, *, until: Until) -> "FailureGroup":
    """See mute_failures()."""
    return await sync_to_async(mute_failures)(fingerprint, until=until)


def annotate_failures(fingerprint: str, note: str) -> "FailureGroup":
    """
    Write a note for people about this group, in place of the one before, and return its row.

    Raise ValueError if there is no such group, or for a note that is too long.
    """
    from taskworks.actions import failure_actions

    return failure_actions.annotate(fingerprint, note)


async def aannotate_failures(fingerprint: str, note: str) -> "FailureGroup":
    """See annotate_failures()."""
    return await sync_to_async(annotate_failures)(fingerprint, note)


# Act on the runs that a filter means.


def retry_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """
    Make the runs ready again, under their ids, that meet all of these conditions, and return how
    many: failed ones, unless a ``state`` is among the conditions. What fails again meanwhile is not
    retried again.

    The conditions are ``state``, ``task``, ``queue``, ``backend``, ``worker``, ``schedule``,
    ``owner``, ``workflow``, ``group``, ``error``, ``since``, ``until``, ``enqueued_since``,
    ``enqueued_until``, ``took``, ``attempts``, ``arguments`` and ``id``, as on the command line; a
    list means any of its values. ``by``, a user or a name, is recorded.

    Raise ValueError for a condition that is nonsense, for none at all, and for states of which no
    run can be retried. Then nothing is written.
    """
    return _act("retry", by, conditions)


async def aretry_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """See retry_runs()."""
    return await sync_to_async(_act)("retry", by, conditions)


def cancel_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """
    Cancel the runs that meet these conditions and have not ended, or ask their workers to. See
    retry_runs() for the conditions, ``by`` and errors.
    """
    return _act("cancel", by, conditions)


async def acancel_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """See cancel_runs()."""
    return await sync_to_async(_act)("cancel", by, conditions)


def run_now(*, by: Any = "", **conditions: Any) -> "Done":
    """
    Make the runs ready that meet these conditions and wait for their time, or for that of a retry.
    See retry_runs() for the conditions, ``by`` and errors.
    """
    return _act("run-now", by, conditions)


async def arun_now(*, by: Any = "", **conditions: Any) -> "Done":
    """See run_now()."""
    return await sync_to_async(_act)("run-now", by, conditions)


def move_runs(
    *, to_queue: str | None = None, to_priority: int | None = None, by: Any = "", **conditions: Any
) -> "Done":
    """
    Give the runs that meet these conditions, and that no worker has yet, another queue of their
    backend, another priority, or both. See retry_runs() for the conditions, ``by`` and errors; also
    raise ValueError for a queue or a priority that runs cannot have.
    """
    return _act("move-runs", by, conditions, to_queue, to_priority)


async def amove_runs(
    *, to_queue: str | None = None, to_priority: int | None = None, by: Any = "", **conditions: Any
) -> "Done":
    """See move_runs()."""
    return await sync_to_async(_act)("move-runs", by, conditions, to_queue, to_priority)


def delete_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """
    Delete the runs that meet these conditions and have ended, except for steps of workflows, which
    are deleted with these. See retry_runs() for the conditions, ``by`` and errors.
    """
    return _act("delete", by, conditions)


async def adelete_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """See delete_runs()."""
    return await sync_to_async(_act)("delete", by, conditions)


def preview_runs(
    action: str, *, to_queue: str | None = None, to_priority: int | None = None, **conditions: Any
) -> "Preview":
    """
    Return on what an ``action`` would act, and write nothing: "retry", "cancel", "run-now",
    "move-runs" or "delete". It has the number of runs, of these 10,000 at most, how many of them
    are of each task and of each class of error, and five of them. Raise as retry_runs().
    """
    from taskworks.actions import bulk
    from taskworks.actions.verbs import action_of
    from taskworks.filtering.from_python import filter_of

    return bulk.preview_everywhere(action_of(action, to_queue, to_priority), filter_of(conditions))


async def apreview_runs(
    action: str, *, to_queue: str | None = None, to_priority: int | None = None, **conditions: Any
) -> "Preview":
    """See preview_runs()."""
    where: Any = {"to_queue": to_queue, "to_priority": to_priority}
    return await sync_to_async(preview_runs)(action, **where, **conditions)


def act_in_background(
    action: str,
    *,
    to_queue: str | None = None,
    to_priority: int | None = None,
    by: Any = "",
    **conditions: Any,
) -> "TaskResult[..., Any]":
    """
    Enqueue a run that does this to all runs that meet these conditions now, and return its result.
    It has progress and messages; cancel it to stop it. See preview_runs() for the actions.
    """
    from taskworks.actions import bulk_run
    from taskworks.actions.verbs import action_of
    from taskworks.filtering.from_python import filter_of

    meant = filter_of(conditions)
    return bulk_run.start_there(action_of(action, to_queue, to_priority), meant, by=by)


async def aact_in_background(
    action: str,
    *,
    to_queue: str | None = None,
    to_priority: int | None = None,
    by: Any = "",
    **conditions: Any,
) -> "TaskResult[..., Any]":
    """See act_in_background()."""
    where: Any = {"to_queue": to_queue, "to_priority": to_priority}
    return await sync_to_async(act_in_background)(action, **where, by=by, **conditions)


def retry_with(
    result: "TaskResult[..., Any]", changes: Mapping[str, Any], *, by: Any = ""
) -> "TaskResult[..., Any]":
    """
    Enqueue a new run like one that has ended, with its options, and with these arguments changed,
    by their names; return its result. The old run is left as it is. Each has the other's id in its
    metadata, and the new one has what differs.

    Raise ValueError if nothing differs, for a run that has not ended or is a step of a workflow,
    TaskResultDoesNotExist if it was deleted, and what ``enqueue`` raises.
    """
    from taskworks.actions import changed_retry
    from taskworks.store import store_for

    run = store_for(result.backend).runs.filter(id=result.id, backend=result.backend).first()
    if run is None:
        raise TaskResultDoesNotExist(result.id)
    return changed_retry.retry_with(run, *changed_retry.changed(run, changes), by=by)


async def aretry_with(
    result: "TaskResult[..., Any]", changes: Mapping[str, Any], *, by: Any = ""
) -> "TaskResult[..., Any]":
    """See retry_with()."""
    return await sync_to_async(retry_with)(result, changes, by=by)


def _act(
    verb: str,
    by: Any,
    conditions: Mapping[str, Any],
    queue: str | None = None,
    priority: int | None = None,
) -> "Done":
    from taskworks.actions import bulk
    from taskworks.actions.verbs import action_of
    from taskworks.filtering.from_python import filter_of

    return bulk.carry_out_everywhere(action_of(verb, queue, priority), filter_of(conditions), by)


# Why a run waits.


def why_waiting(result: "TaskResult[..., Any]") -> str | None:
    """
    Return, in a sentence for people, why no worker has this run now; None if one has, or if the run
    has finished.

    Raise TaskResultDoesNotExist if the run was deleted, NotImplementedError for a backend that does
    not store runs.
    """
    from taskworks.actions import scopes, waiting
    from taskworks.store import store_for

    scopes.backend_of(result.backend)
    run = store_for(result.backend).runs.filter(id=result.id, backend=result.backend).first()
    if run is None:
        raise TaskResultDoesNotExist(result.id)
    return waiting.why_waiting(run)


async def awhy_waiting(result: "TaskResult[..., Any]") -> str | None:
    """See why_waiting()."""
    return await sync_to_async(why_waiting)(result)
