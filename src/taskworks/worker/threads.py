"""Threads, for functions."""

import contextvars
import threading
from queue import SimpleQueue

from taskworks.execution import Attempt, ThreadGuard, execute, judge
from taskworks.worker.slots import Done, Slots


class ThreadPool(Slots):
    """
    A fixed number of threads, begun when first needed.

    Daemons, unlike those of concurrent.futures: a task that never returns must not keep a
    stopping worker alive.
    """

    def __init__(self, size: int, sender: type, done: Done) -> None:
        super().__init__(size)
        self._sender, self._done = sender, done
        self._attempts: SimpleQueue[tuple[Attempt, ThreadGuard] | None] = SimpleQueue()
        self._begun = 0

    def submit(self, attempt: Attempt) -> None:
        busy = self.occupy()
        attempt.guard = guard = ThreadGuard()
        self._attempts.put((attempt, guard))
        if self._begun < min(max(self.size, 1), busy):
            self._begun += 1
            threading.Thread(
                target=self._work, name=f"taskworks-{self._begun}", daemon=True
            ).start()

    def close(self) -> None:
        for _ in range(self._begun):
            self._attempts.put(None)

    def _work(self) -> None:
        while order := self._attempts.get():
            attempt, guard = order
            try:
                # A context of its own: what a task sets (a language, a log's context) ends with it.
                outcome = contextvars.Context().run(execute, attempt, guard, self._sender)
            except BaseException as error:  # noqa: BLE001 - the thread must not end for it
                outcome = judge(attempt, guard.reason.exception() if guard.reason else error)
            guard.disarm()
            self.vacate()
            self._done(attempt, outcome)
            del order, attempt, guard, outcome
