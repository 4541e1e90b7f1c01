"""Have a worker end."""

from typing import TYPE_CHECKING
from uuid import UUID

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from taskworks.models import Worker


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
