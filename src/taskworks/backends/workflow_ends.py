"""
End and stop workflows, as far as their members allow, and tell those who listen.

``until`` is when to leave the rest of the members to the sweep, by time.monotonic(): a worker has
other duties.
"""

import math
from collections.abc import Iterable
from uuid import UUID

from taskworks import real_time as time
from taskworks.exceptions import TaskCancelled
from taskworks.framework import InvalidTaskBackend, task_backends
from taskworks.models import RunState, Workflow
from taskworks.signals import announce_cancelled, announce_workflow, is_cancellation_heard
from taskworks.store import Store
from taskworks.store.workflow_ends import Ends

CANCELLATION = {
    "exception_class_path": f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}",
    "traceback": f"{TaskCancelled.__module__}.{TaskCancelled.__qualname__}: "
    "The run was cancelled with its workflow.\n",
}


def end_workflows(store: Store, ids: Iterable[UUID], until: float = math.inf) -> int:
    """
    Write that those of these workflows have ended that have, and stop those that do not outlive
    their failure. Return how many have ended, and how many runs became ready.
    """
    ends = Ends()
    try:
        store.end_workflows(ids, until, into=ends)
    finally:  # what is written is told, whatever failed after it
        for row in ends.finished:
            announce_end(row)
    changed = ends.unblocked + len(ends.finished)
    for row in ends.finished:
        if row.parent and row.outcome != RunState.SUCCESSFUL:
            changed += stop_after_failure(store, row.parent, until)
    return changed


def stop_after_failure(store: Store, workflow: UUID, until: float = math.inf) -> int:
    """Stop what is to stop since a member of this workflow has failed; return as above."""
    to_stop = store.to_stop_after_failure(workflow)
    return stop_workflow(store, to_stop, patient=False, until=until) or 0 if to_stop else 0


def stop_workflow(
    store: Store, workflow: UUID, *, patient: bool = True, until: float = math.inf
) -> int | None:
    """
    Cancel the members of a workflow, and of those within it, that wait; ask the others to stop.
    Return as above, or None if it had finished; see ``begin_to_stop``.
    """
    if not store.begin_to_stop(workflow, patient=patient):
        return None
    within = store.to_stop_within(workflow)
    for child in within:
        store.begin_to_stop(child, patient=patient)
        if time.monotonic() >= until:
            break
    unblocked = 0
    for one in (workflow, *within):
        unblocked += _cancel_members(store, one, until)
        if time.monotonic() >= until:
            return unblocked
    return unblocked + end_workflows(store, [*reversed(within), workflow], until)


def _cancel_members(store: Store, workflow: UUID, until: float) -> int:
    unblocked = 0
    for ids in store.cancel_members(workflow, CANCELLATION):
        if is_cancellation_heard():
            for run in store.runs.filter(id__in=ids):
                if sender := _sender(run.backend):
                    announce_cancelled(sender, run.to_result())
        unblocked += store.unblock_after([*ids], until)
        if time.monotonic() >= until:
            break
    return unblocked


def announce_end(row: Workflow) -> None:
    """Send ``workflow_finished``, if this process has the backend."""
    from taskworks.workflows.workflow_result import result_of_row

    if sender := _sender(row.backend):
        announce_workflow(sender, lambda: result_of_row(row))


def _sender(alias: str) -> type | None:
    """Return the class of a backend; None if this process does not have it."""
    try:
        return type(task_backends[alias])
    except InvalidTaskBackend:
        return None
