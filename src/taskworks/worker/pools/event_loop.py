"""The pool for coroutine functions: one event loop."""

import asyncio
import contextvars
import threading

from taskworks.database.connection_places import ConnectionPlaces
from taskworks.execution import Attempt, CoroutineGuard, Outcome, Released, aexecute, failure
from taskworks.logs import steady_logger
from taskworks.worker.pools.pool import Done, Pool

logger = steady_logger(__name__)


class EventLoopPool(Pool):
    """An event loop in a thread of its own, started when first needed."""

    def __init__(self, size: int, connections: int, sender: type, done: Done) -> None:
        """At most ``connections`` coroutine functions hold database connections at once."""
        super().__init__(size)
        self._places = ConnectionPlaces(connections)
        self._sender, self._done = sender, done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def close(self) -> None:
        self._closed = True
        self._places.close()
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _begin(self, count: int) -> None:
        loop = self._loop or self._new_loop()
        loop.call_soon_threadsafe(self._fill, context=contextvars.Context())

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._work, name="taskworks-loop", daemon=True).start()
        return self._loop

    def _work(self) -> None:
        loop = self._loop
        assert loop is not None, "the thread is started with a loop"  # noqa: S101
        asyncio.set_event_loop(loop)
        while not self._closed and not loop.is_closed():
            try:
                loop.run_forever()
            except BaseException:  # sys.exit() in a child of a task comes out here
                logger.exception("A task tried to end the event loop; it goes on.")
        if not self._tasks:
            loop.close()

    # Called on the loop.

    def _fill(self) -> None:
        """Begin the attempts that wait, as far as there are slots."""
        while len(self._tasks) < max(self.size, 1) and (attempt := self._next()):
            self._spawn(attempt)

    def _spawn(self, attempt: Attempt) -> None:
        guard = attempt.guarded_by(CoroutineGuard())
        # The loop itself keeps only weak references to its tasks.
        task = asyncio.get_running_loop().create_task(
            self._execute(attempt, guard), context=contextvars.Context()
        )
        self._tasks.add(task)
        task.add_done_callback(self._despawn)

    def _despawn(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._fill()

    async def _execute(self, attempt: Attempt, guard: CoroutineGuard) -> None:
        outcome: Outcome = Released()
        try:
            if not self._is_stale(attempt):
                outcome = await aexecute(attempt, guard, self._sender, self._places)
        except BaseException as error:  # noqa: BLE001 - there must be an outcome
            outcome = failure(error)
        self.vacate()
        self._done(attempt, outcome)
