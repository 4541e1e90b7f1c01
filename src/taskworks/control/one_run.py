"""Retry one run with other arguments, and say why one waits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from taskworks.exceptions import TaskResultDoesNotExist

if TYPE_CHECKING:
    from taskworks.result import TaskResult


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
