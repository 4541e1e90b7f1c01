"""Runs as Celery shows its own requests: for ``inspect``, for Flower and for autoscaling."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from celery.worker import state

from taskworks import real_time as time
from taskworks.execution import Attempt


class RunRequest:
    """A run among Celery's requests."""

    acknowledged = True  # its ticket is no part of it
    time_start: float | None = None
    eta = None

    def __init__(
        self, attempt: Attempt, celery_worker: Any, task: Any, release: Callable[[], None]
    ) -> None:
        """``release`` gives back all runs of this process: Celery is shutting down cold."""
        run = attempt.run
        self.id, self.name, self.queue_name = str(run.id), run.called_path, run.queue_name
        self.task, self.hostname = task, celery_worker.hostname
        self.worker_pid = os.getpid()
        self._release = release

    def info(self, safe: bool = False) -> dict[str, Any]:
        """Return what ``inspect active`` shows: no arguments, which may be secret."""
        return {
            "id": self.id,
            "name": self.name,
            "args": [],
            "kwargs": {},
            "type": self.name,
            "hostname": self.hostname,
            "time_start": self.time_start,
            "acknowledged": self.acknowledged,
            "delivery_info": {"routing_key": self.queue_name},
            "worker_pid": self.worker_pid,
        }

    def cancel(self, pool: Any, signal: Any = None, **options: Any) -> None:
        """Celery calls this for each request that is executed when it shuts down cold."""
        self._release()

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Celery calls this for ``revoke --terminate``, of which the panel cancels the run."""

    def __str__(self) -> str:
        return f"{self.name}[{self.id}]"


class Requests:
    """The runs in the hands of one pool, of which Celery knows from here."""

    def __init__(self, make_request: Callable[[Attempt], RunRequest]) -> None:
        self._make = make_request
        self._requests: dict[Attempt, RunRequest] = {}

    def reserve(self, attempts: Iterable[Attempt]) -> None:
        """Note that these wait."""
        for attempt in attempts:
            request = self._requests[attempt] = self._make(attempt)
            state.task_reserved(request)

    def begin(self, attempt: Attempt, pid: int | None = None) -> None:
        """Note that it is executed, by the child process with this id or by this process."""
        request = self._requests[attempt]
        request.worker_pid = pid or request.worker_pid
        request.time_start = time.time()
        state.task_accepted(request)

    def end(self, attempt: Attempt) -> None:
        """Note that it is not in hand any more."""
        if request := self._requests.pop(attempt, None):
            state.task_ready(request)
