"""The pool for functions: Celery's own threads, or with ``-P solo`` its main thread."""

from contextlib import suppress
from typing import Any

from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.main_thread_guard import MainThreadGuard
from taskworks.celery_worker.requests import Requests
from taskworks.celery_worker.sharing import MakeRequest, SharedPool
from taskworks.execution import Attempt, Outcome
from taskworks.worker.pools import Done
from taskworks.worker.pools.threads import ThreadPool

RUNS_A_JOB = 20  # runs that a thread executes before it looks whether Celery has a task of its own


class CeleryThreads(SharedPool, ThreadPool):
    """Celery's threads, which execute its own tasks as well."""

    def __init__(
        self,
        main_thread: MainThread,
        celery_worker: Any,
        make_request: MakeRequest,
        sender: type,
        done: Done,
    ) -> None:
        self._main_thread, self._celery_pool = main_thread, celery_worker.pool
        self.requests = Requests(make_request)
        super().__init__(self._celery_pool.limit, sender, done)

    @property
    def celerys_size(self) -> int:
        return int(self._celery_pool.limit)

    def close(self) -> None:
        """Do nothing: the threads are Celery's."""

    def _rouse(self, wanted: int) -> None:
        while self._awake < min(wanted, self.size):
            self._note_woken()
            self._hand_over()

    def _hand_over(self) -> None:
        """Have a thread of Celery's execute what waits, after what it has to do before."""
        with suppress(RuntimeError):  # Celery has closed its pool: what waits is given back
            self._celery_pool.apply_async(self._work, callback=_ignore)

    def _work(self) -> None:
        for _ in range(RUNS_A_JOB):
            if not self._execute_next():
                return
        self._hand_over()

    def _execute(self, attempt: Attempt) -> Outcome:
        self.note_begin(attempt)
        try:
            return super()._execute(attempt)
        finally:
            self.note_end(attempt)


class CelerySolo(CeleryThreads):
    """The main thread. It executes what Celery and the worker give it, one after another."""

    new_guard = MainThreadGuard

    @property
    def room(self) -> int:
        """As of any pool; none while Celery has no broker, which is all that it then waits for."""
        return super().room if self._main_thread.is_connected else 0

    def _hand_over(self) -> None:
        self._main_thread.call_soon(self._work)


def _ignore(*arguments: Any) -> None:
    pass
