"""Retry, mute and annotate a group of failures."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from taskworks.control.pausing import Until

if TYPE_CHECKING:
    from taskworks.actions.failure_actions import Retried
    from taskworks.models import FailureGroup


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
    Hide this group from lists ``until`` then, a datetime or a timedelta from now; None shows it
    again. Return its row.

    Raise ValueError if there is no such group, or for an end that is not in the future.
    """
    from taskworks.actions import failure_actions

    return failure_actions.mute(fingerprint, until)


async def amute_failures(fingerprint: str, *, until: Until) -> "FailureGroup":
    """See mute_failures()."""
    return await sync_to_async(mute_failures)(fingerprint, until=until)


def annotate_failures(fingerprint: str, note: str) -> "FailureGroup":
    """
    Replace the note of this group, which is for people, and return its row.

    Raise ValueError if there is no such group, or for a note that is too long.
    """
    from taskworks.actions import failure_actions

    return failure_actions.annotate(fingerprint, note)


async def aannotate_failures(fingerprint: str, note: str) -> "FailureGroup":
    """See annotate_failures()."""
    return await sync_to_async(annotate_failures)(fingerprint, note)
