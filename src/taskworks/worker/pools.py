"""Where attempts are executed: threads for functions, one event loop for coroutine functions."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from inspect import iscoroutinefunction
from queue import SimpleQueue

from taskworks.execution import Attempt, Outcome, aexecute, execute, failure

Done = Callable[[Attempt, Outcome], None]

logger = logging.getLogger(__name__)


class Pools:
    """Both kinds, behind one ``submit``; ``done`` is called in the thread that executed."""

    def __init__(self, threads: int, async_slots: int, sender: type, done: Done) -> None:
        self._threads = ThreadPool(threads, sender, done)
        self._loop = EventLoop(async_slots, sender, done)

    @property
    def free(self) -> int:
        """How many attempts, of whatever kind, would start at once."""
        return min(self._threads.free, self._loop.free)

    def submit(self, attempt: Attempt) -> None:
        """Execute an attempt where its task belongs."""
        pool = self._loop if iscoroutinefunction(attempt.task.func) else self._threads
        pool.submit(attempt)

    def close(self) -> None:
        """Let the threads end as soon as they have nothing to execute."""
        self._threads.close()
        self._loop.close()


class ThreadPool:
    """
    A fixed number of threads, begun when first needed.

    Daemons, unlike those of concurrent.futures: a task that never returns must not keep a
    stopping worker alive.
    """

    def __init__(self, size: int, sender: type, done: Done) -> None:
        self.size, self._sender, self._done = size, sender, done
        self._attempts: SimpleQueue[Attempt | None] = SimpleQueue()
        self._busy = _Count()
        self._begun = 0

    @property
    def free(self) -> int:
        return self.size - self._busy.value

    def submit(self, attempt: Attempt) -> None:
        self._busy.add(1)
        self._attempts.put(attempt)
        if self._begun < min(self.size, self._busy.value):
            self._begun += 1
            threading.Thread(
                target=self._work, name=f"taskworks-{self._begun}", daemon=True
            ).start()

    def close(self) -> None:
        for _ in range(self._begun):
            self._attempts.put(None)

    def _work(self) -> None:
        while attempt := self._attempts.get():
            try:
                # A context of its own: what a task sets (a language, a log's context) ends with it.
                outcome = contextvars.Context().run(execute, attempt, self._sender)
            except BaseException as error:  # noqa: BLE001 - the thread must not end for it
                outcome = failure(error)
            self._busy.add(-1)
            self._done(attempt, outcome)
            del attempt, outcome


class EventLoop:
    """One event loop in a thread of its own, begun when first needed."""

    def __init__(self, size: int, sender: type, done: Done) -> None:
        self.size, self._sender, self._done = size, sender, done
        self._busy = _Count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def free(self) -> int:
        return self.size - self._busy.value

    def submit(self, attempt: Attempt) -> None:
        self._busy.add(1)
        loop = self._loop or self._begin()
        loop.call_soon_threadsafe(self._spawn, attempt, context=contextvars.Context())

    def close(self) -> None:
        self._closed = True
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._work, name="taskworks-loop", daemon=True).start()
        return self._loop

    def _work(self) -> None:
        loop = self._loop
        assert loop is not None, "begun with a loop"  # noqa: S101
        asyncio.set_event_loop(loop)
        while not self._closed and not loop.is_closed():
            try:
                loop.run_forever()
            except BaseException:  # sys.exit() in a child of a task comes out here
                logger.exception("A task tried to end the event loop; it goes on.")
        if not self._tasks:
            loop.close()

    def _spawn(self, attempt: Attempt) -> None:
        # The loop itself keeps only weak references to its tasks.
        task = asyncio.get_running_loop().create_task(self._execute(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, attempt: Attempt) -> None:
        try:
            outcome = await aexecute(attempt, self._sender)
        except BaseException as error:  # noqa: BLE001 - an outcome there must be
            outcome = failure(error)
        self._busy.add(-1)
        self._done(attempt, outcome)


class _Count:
    """A number that threads change."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def add(self, difference: int) -> None:
        with self._lock:
            self.value += difference
