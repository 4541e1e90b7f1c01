"""Ask workers to end, for a person."""

from uuid import UUID

from taskworks.models import Worker
from taskworks.models.worker import Request
from taskworks.store import store


def ask(worker: UUID | str, to: Request) -> Worker:
    """Ask a worker to end, and return its row; raise ValueError unless it is a living one's id."""
    try:
        worker_id = UUID(str(worker))
    except ValueError:
        raise ValueError(f"The id of a worker is a UUID, not {worker!r}.") from None
    if not store().ask_worker(worker_id, to):
        raise ValueError(
            f"No living worker has the id {worker_id}: it has ended, or was given up for dead. "
            "'manage.py taskworks workers' lists those that live."
        )
    return store().workers.get(id=worker_id)
