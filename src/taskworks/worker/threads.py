"""Threads, for functions."""

import contextvars
import threading
from queue import SimpleQueue

from taskworks.execution import Attempt, Outcome, ThreadGuard, execute, judge
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
        self._calls: SimpleQueue[bool] = SimpleQueue()  # to look at what waits; False is to end
        self._begun = 0

    def close(self) -> None:
        for _ in range(self._begun):
            self._calls.put(False)

    def _begin(self, count: int) -> None:
        for _ in range(count):
            self._calls.put(True)
        while self._begun < min(max(self.size, 1), self._busy):
            self._begun += 1
            threading.Thread(
                target=self._work, name=f"taskworks-{self._begun}", daemon=True
            ).start()

    def _work(self) -> None:
        while self._calls.get():
            if attempt := self._next():
                outcome = self._execute(attempt)
                self.vacate()
                self._done(attempt, outcome)
                del attempt, outcome

    def _execute(self, attempt: Attempt) -> Outcome:
        guard = attempt.guarded_by(ThreadGuard())
        try:
            # A context of its own: what a task sets (a language, a log's context) ends with it.
            return contextvars.Context().run(execute, attempt, guard, self._sender)
        except BaseException as error:  # noqa: BLE001 - the thread must not end for it
            return judge(attempt, guard.reason.exception() if guard.reason else error)
        finally:
            guard.disarm()
