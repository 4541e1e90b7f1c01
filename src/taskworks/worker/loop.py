"""One event loop, for coroutine functions."""

import asyncio
import contextvars
import logging
import threading

from taskworks.execution import Attempt, CoroutineGuard, aexecute, failure
from taskworks.worker.slots import Done, Slots

logger = logging.getLogger(__name__)


class EventLoop(Slots):
    """In a thread of its own, begun when first needed."""

    def __init__(self, size: int, sender: type, done: Done) -> None:
        super().__init__(size)
        self._sender, self._done = sender, done
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def submit(self, attempt: Attempt) -> None:
        self.occupy()
        attempt.guard = guard = CoroutineGuard()
        loop = self._loop or self._begin()
        loop.call_soon_threadsafe(self._spawn, attempt, guard, context=contextvars.Context())

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

    def _spawn(self, attempt: Attempt, guard: CoroutineGuard) -> None:
        # The loop itself keeps only weak references to its tasks.
        task = asyncio.get_running_loop().create_task(self._execute(attempt, guard))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _execute(self, attempt: Attempt, guard: CoroutineGuard) -> None:
        try:
            outcome = await aexecute(attempt, guard, self._sender)
        except BaseException as error:  # noqa: BLE001 - an outcome there must be
            outcome = failure(error)
        self.vacate()
        self._done(attempt, outcome)
