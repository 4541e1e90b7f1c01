"""Act on all runs that a filter means."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from taskworks.actions.bulk import Preview
    from taskworks.actions.verbs import Done
    from taskworks.result import TaskResult


def retry_runs(*, by: Any = "", **conditions: Any) -> "Done":
    """
    Retry the runs that meet all of these conditions, under their ids, and return how many: failed
    runs, unless a ``state`` is among the conditions. A run that fails again is not retried again.

    The conditions are ``state``, ``task``, ``queue``, ``backend``, ``worker``, ``schedule``,
    ``owner``, ``workflow``, ``group``, ``error``, ``since``, ``until``, ``enqueued_since``,
    ``enqueued_until``, ``took``, ``attempts``, ``arguments`` and ``id``, as on the command line; a
    list means any of its values. ``by``, a user or a name, is recorded.

    Raise ValueError for an invalid condition, for none at all, and for states of which no run can
    be retried. Then nothing is written.
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
