"""``Asking``: what the steps of an attempt ask of whoever executes it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol

from taskworks.exceptions import TaskLost
from taskworks.steps.requests import History, ReadHistory, Record, Request


class Recorder(Protocol):
    """Whoever executes the attempt, and records what it does."""

    @property
    def is_transactional(self) -> bool:
        """Whether the task is one transaction from its first line to its last."""

    def now(self) -> datetime:
        """Return the database's time."""

    def ask(self, request: Request) -> Any:
        """Return the answer to a request; raise TaskLost if the run is another worker's."""

    async def aask(self, request: Request) -> Any:
        """See ask()."""

    def atomically(self, call: Callable[[], tuple[Any, Record]]) -> Any:
        """
        In one transaction, call what returns a value and a record, and write the record; return the
        value.
        """


class Asking:
    """
    Asks, in a function or in a coroutine function; without a recorder, every answer is None, and
    nothing was recorded before.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self.recorder = recorder
        self.history = None if recorder else History()
        self.lost: TaskLost | None = None  # then no other step is executed, if the task catches it
        self._lock = threading.Lock()
        self._reading: asyncio.Future[History] | None = None
        self._in_flight: set[asyncio.Future[Any]] = set()

    def read(self) -> History:
        """Return what was recorded before this attempt, and at first use in it; read once."""
        with self._lock:
            self.history = self.history or self.ask(ReadHistory())
            return self.history

    async def aread(self) -> History:
        """See read(). Several coroutines may begin at the same time."""
        if self.history is None:
            if self._reading is None:
                self._reading = asyncio.ensure_future(self.aask(ReadHistory()))
            # One that is cancelled must not take the others with it.
            self.history = await asyncio.shield(self._reading)
        return self.history

    def ask(self, request: Request) -> Any:
        """Return the answer to a request; raise TaskLost if the run is another worker's."""
        with self.noting_loss():
            return None if self.recorder is None else self.recorder.ask(request)

    async def aask(self, request: Request) -> Any:
        """See ask()."""
        if self.recorder is None:
            return None
        with self.noting_loss():
            asked = asyncio.ensure_future(self.recorder.aask(request))
            self._in_flight.add(asked)
            asked.add_done_callback(self._in_flight.discard)
            return await asked

    async def land(self) -> None:
        """Wait until what other coroutines of the task have asked is answered."""
        while self._in_flight:
            await asyncio.wait({*self._in_flight})

    @contextmanager
    def noting_loss(self) -> Iterator[None]:
        """Note a TaskLost that the block raises."""
        try:
            yield
        except TaskLost as lost:
            self.lost = lost
            raise
