"""What Celery's remote control can ask of runs: ``revoke`` cancels, and ``taskworks`` shows."""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from celery.worker.control import Panel, inspect_command
from django.db import Error as DatabaseError
from django.db import connections

from taskworks.backends.celery import CeleryBackend
from taskworks.exceptions import TaskResultDoesNotExist
from taskworks.logs import steady_logger

REVOKING = ("revoke", "terminate")

logger = steady_logger(__name__)


def have_revoke_cancel(backends: Iterable[CeleryBackend]) -> None:
    """Have Celery's commands that revoke tasks cancel runs with these ids."""
    backends = [*backends]
    for name in REVOKING:
        Panel.data[name] = _cancelling(Panel.data[name], backends)


@inspect_command(name="taskworks")  # type: ignore[untyped-decorator] # Celery has no types
def show(state: Any, **options: Any) -> dict[str, Any]:
    """What Taskworks does in this worker."""
    step = getattr(state.consumer.controller, "taskworks", None)
    return step.facts() if step else {}


def _cancelling(command: Callable[..., Any], backends: list[CeleryBackend]) -> Callable[..., Any]:
    def revoke(state: Any, *arguments: Any, task_id: Any = (), **options: Any) -> Any:
        ids = [task_id] if isinstance(task_id, str) else [*task_id]
        # In a thread of its own: Celery's main thread does not wait for the database.
        threading.Thread(
            target=_cancel, args=[backends, ids], name="taskworks-revoke", daemon=True
        ).start()
        return command(state, *arguments, task_id=task_id, **options)

    return revoke


def _cancel(backends: list[CeleryBackend], ids: list[Any]) -> None:
    try:
        for id_ in ids:
            for backend in backends:
                with suppress(TaskResultDoesNotExist):
                    backend.cancel(str(id_))
    except DatabaseError as error:
        logger.warning("Runs that were revoked could not be cancelled: %s", error)
    finally:
        connections.close_all()
