"""What pools have in common whose slots are Celery's: its own tasks use them, too."""

import math
from collections.abc import Callable, Sequence

from celery.worker import state

from taskworks import real_time as time
from taskworks.celery_worker.requests import Requests, RunRequest
from taskworks.execution import Attempt
from taskworks.worker.pools.pool import Pool

CELERYS_TURN = 2.0  # seconds that a claimed run may wait while Celery's own tasks have all slots

MakeRequest = Callable[[Attempt], RunRequest]


class SharedPool(Pool):
    """
    A pool of Celery's. What it executes of its own is subtracted from its size. One slot is left,
    or the runs of a worker that has enough tasks of its own would wait forever; but not just after
    a run has waited in vain and was given back: another worker may have a slot for it, and is to
    find it.
    """

    requests: Requests
    executing = 0  # runs, at this moment
    _others_first_until = -math.inf  # by time.monotonic()

    @property
    def celerys_size(self) -> int:
        """How many tasks Celery executes at once."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many runs can be executed at once, with what Celery executes now."""
        of_celery = len(state.active_requests) - self.executing
        least = 0 if time.monotonic() < self._others_first_until else 1
        return max(least, self.celerys_size - max(0, of_celery))

    @size.setter
    def size(self, size: int) -> None:
        """Do nothing: it is Celery's."""

    @property
    def waits_since(self) -> float:
        """As of any pool, but later if it is for Celery's own tasks that they wait."""
        return super().waits_since + (0.0 if self.executing else CELERYS_TURN)

    def submit(self, attempts: Sequence[Attempt]) -> None:
        self.requests.reserve(attempts)
        super().submit(attempts)

    def withdraw(self) -> list[Attempt]:
        withdrawn = super().withdraw()
        for attempt in withdrawn:
            self.requests.end(attempt)
        if withdrawn:
            self._others_first_until = time.monotonic() + CELERYS_TURN
        return withdrawn

    def heed_new_connection(self) -> None:
        """Celery has a new connection to its broker."""

    def note_begin(self, attempt: Attempt, pid: int | None = None) -> None:
        """Note that the attempt has got a slot, in the child process with this id if it is one."""
        self.requests.begin(attempt, pid)
        self._count(1)

    def note_end(self, attempt: Attempt) -> None:
        """Note that it has left the slot."""
        self._count(-1)  # first: what is counted here is never more than what Celery knows of
        self.requests.end(attempt)

    def _count(self, more: int) -> None:
        with self._lock:
            self.executing += more
