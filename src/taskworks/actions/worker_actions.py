"""Ask workers to end, for a person."""

from uuid import UUID

from taskworks.backends.shards import first_in_each
from taskworks.models import Worker
from taskworks.models.worker import Request
from taskworks.store import store


def ask(worker: UUID | str, to: Request) -> Worker:
    """Ask a worker to end, and return its row; raise ValueError unless it is a living one's id."""
    try:
        worker_id = UUID(str(worker))
    except ValueError:
        raise ValueError(f"The id of a worker is a UUID, not {worker!r}.") from None
    asked = first_in_each(lambda: _asked(worker_id, to))
    if asked is None:
        raise ValueError(
            f"No living worker has the id {worker_id}: it has ended, or was given up for dead. "
            "'manage.py taskworks workers' lists those that live."
        )
    return asked


def _asked(worker_id: UUID, to: Request) -> Worker | None:
    return store().workers.get(id=worker_id) if store().ask_worker(worker_id, to) else None
