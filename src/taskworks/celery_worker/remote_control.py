"""What Celery's remote control can ask of runs: ``revoke`` cancels, and ``taskworks`` shows."""

import threading
from collections.abc import Callable, Iterable
from queue import Full, Queue
from typing import Any

from celery.worker.control import Panel, inspect_command
from django.db import Error as DatabaseError
from django.db import connections

from taskworks.backends.celery import CeleryBackend
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.execution.task_connections import tidy_connections
from taskworks.logs import steady_logger

REVOKING = ("revoke", "terminate")
MAX_WAITING = 1000  # commands that wait for the database; further ones are dropped

logger = steady_logger(__name__)


def have_revoke_cancel(backends: Iterable[CeleryBackend]) -> None:
    """Have Celery's commands that revoke tasks cancel runs with these ids."""
    canceller = Canceller(backends)
    for name in REVOKING:
        Panel.data[name] = _cancelling(Panel.data[name], canceller)


@inspect_command(name="taskworks")  # type: ignore[untyped-decorator] # Celery has no types
def show(state: Any, **options: Any) -> dict[str, Any]:
    """What Taskworks does in this worker."""
    step = getattr(state.consumer.controller, "taskworks", None)
    return step.facts() if step else {}


def _cancelling(command: Callable[..., Any], canceller: "Canceller") -> Callable[..., Any]:
    def revoke(state: Any, *arguments: Any, task_id: Any = (), **options: Any) -> Any:
        canceller.cancel([task_id] if isinstance(task_id, str) else [*task_id])
        return command(state, *arguments, task_id=task_id, **options)

    return revoke


class Canceller:
    """Cancels runs in a thread: Celery's main thread does not wait for the database."""

    def __init__(self, backends: Iterable[CeleryBackend]) -> None:
        self._backends = [*backends]
        self._waiting: Queue[list[Any]] = Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None

    def cancel(self, ids: list[Any]) -> None:
        """Have the runs with these ids cancelled soon. Called in the main thread."""
        try:
            self._waiting.put_nowait(ids)
        except Full:
            logger.error("Runs that were revoked are not cancelled, too many wait: %s", ids[:10])
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="taskworks-revoke", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            ids = self._waiting.get()
            try:
                self._cancel_all(ids)
            except Exception:
                logger.exception("Unexpected error while runs that were revoked were cancelled.")
            if self._waiting.empty():
                connections.close_all()

    def _cancel_all(self, ids: list[Any]) -> None:
        for id_ in ids:
            for backend in self._backends:
                _cancel(str(id_), backend)


def _cancel(id_: str, backend: CeleryBackend) -> None:
    """Cancel the run if it is of this backend. The database of another may be down."""
    try:
        backend.cancel(id_)
    except TaskResultDoesNotExist:
        pass
    except DatabaseError as error:
        tidy_connections()
        logger.warning(
            "The revoked %s was not cancelled in TASKS[%r]: %s", id_, backend.alias, error
        )
