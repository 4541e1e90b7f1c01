"""Stop a worker."""

from typing import TYPE_CHECKING
from uuid import UUID

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from taskworks.models import Worker


def stop_worker(worker: UUID | str, *, drain: bool = False) -> "Worker":
    """
    Stop the worker with this id, wherever it runs, and return its row. It sees the request with its
    next heartbeat. Then it claims nothing more, and interrupts tasks that take longer than
    ``SHUTDOWN_TIMEOUT``, as after SIGTERM; with ``drain`` it lets its tasks end, however long they
    take. Its service manager may start another one.

    Raise ValueError for an id that is malformed, or not that of a living worker.
    """
    from taskworks.actions import worker_actions
    from taskworks.models.worker import Request

    return worker_actions.ask(worker, Request.DRAIN if drain else Request.STOP)


async def astop_worker(worker: UUID | str, *, drain: bool = False) -> "Worker":
    """See stop_worker()."""
    return await sync_to_async(stop_worker)(worker, drain=drain)
