"""The pool for functions: threads."""

import contextvars
import threading
from queue import SimpleQueue

from taskworks import real_time as time
from taskworks.execution import Attempt, Outcome, Released, ThreadGuard, execute, judge
from taskworks.execution.task_connections import forget_queries
from taskworks.worker.pools.pool import Done, Pool

WIDEN_AFTER = 0.002  # seconds in which nothing is taken, until one thread is not enough


class ThreadPool(Pool):
    """
    At most ``size`` threads, started when first needed.

    While tasks are brief, one thread executes them all, because several would do little but hand
    the interpreter's lock to each other. The others join in as soon as that one is held up.

    They are daemons, unlike those of concurrent.futures: a task that never returns must not keep a
    stopping worker alive.
    """

    new_guard: type[ThreadGuard] = ThreadGuard

    def __init__(self, size: int, sender: type, done: Done) -> None:
        super().__init__(size)
        self._sender, self._done = sender, done
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True: look at what waits; False: end
        self._begun = self._awake = 0  # threads; those awake have not yet found that nothing waits
        self._moved_at = 0.0  # an attempt was taken, or a thread was woken for one

    def close(self) -> None:
        for _ in range(self._begun):
            self._calls.put(False)

    def widen(self) -> None:
        if self._waiting and time.monotonic() - self._moved_at > WIDEN_AFTER:
            with self._lock:
                self._rouse(self._awake + len(self._waiting))

    def _begin(self, count: int) -> None:
        with self._lock:
            self._rouse(1 if self.claim_ahead.is_brief else self._awake + count)

    def _rouse(self, wanted: int) -> None:
        """Wake or start threads until ``wanted`` of them are awake, or all."""
        while self._awake < min(wanted, max(self.size, 1)):
            self._note_woken()
            if self._awake <= self._begun:
                self._calls.put(True)
            else:
                self._begun += 1
                threading.Thread(
                    target=self._work, name=f"taskworks-{self._begun}", daemon=True
                ).start()

    def _note_woken(self) -> None:
        self._awake += 1
        self._moved_at = time.monotonic()

    def _work(self) -> None:
        is_called = True
        while is_called:
            while self._execute_next():
                pass
            is_called = self._calls.get()

    def _execute_next(self) -> bool:
        """Execute the first attempt that waits; return False if none does."""
        attempt = self._next_or_rest()
        if attempt is None:
            return False
        outcome = self._execute(attempt)
        self.vacate()
        self._done(attempt, outcome)
        return True

    def _next_or_rest(self) -> Attempt | None:
        # With the lock, or an attempt may come while this thread falls asleep, and find it awake.
        with self._lock:
            attempt = self._next()
            if attempt is None:
                self._awake -= 1
        self._moved_at = time.monotonic()
        return attempt

    def _execute(self, attempt: Attempt) -> Outcome:
        if self._is_stale(attempt):
            return Released()
        forget_queries()
        guard = attempt.guarded_by(self.new_guard())
        try:
            # A context of its own: what a task sets (a language, a log's context) ends with it.
            return contextvars.Context().run(execute, attempt, guard, self._sender)
        except BaseException as error:  # noqa: BLE001 - the thread must not end for it
            return judge(attempt, guard.reason.exception() if guard.reason else error)
        finally:
            guard.disarm()
