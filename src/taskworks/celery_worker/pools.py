"""Where a Celery worker's runs are executed."""

from collections.abc import Callable

from taskworks.celery_worker.sharing import SharedPool
from taskworks.options.policy import THREAD
from taskworks.worker.pools import Done, Pools, Sizes

MakeThreads = Callable[[type, Done], SharedPool]


class CeleryPools(Pools):
    """
    Functions are executed by Celery's pool. Coroutine functions have an event loop of ours, and
    tasks with ``executor="process"``, and runs that may crash, child processes of ours.
    """

    def __init__(self, make_threads: MakeThreads, sizes: Sizes, sender: type, done: Done) -> None:
        super().__init__(sizes, sender, done)
        # At once, and not with the first run: how many it can execute changes from the beginning.
        self._pools[THREAD] = self._threads = make_threads(sender, done)

    def heed_new_connection(self) -> None:
        """Celery has a new connection to its broker."""
        self._threads.heed_new_connection()

    def end_what_is_executed(self) -> None:
        """End what Celery's pool executes, if that is possible."""
        self._threads.close()

    @property
    def executing(self) -> int:
        """How many runs Celery's pool executes at this moment."""
        return self._threads.executing
