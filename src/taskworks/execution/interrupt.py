"""
Stop a task from outside: raise in its thread, or cancel its coroutine, and never strike another.

A guard belongs to one attempt. It is armed for just as long as the task's own lines run; what is
raised in them is private, and turned at their border into what it means.
"""

import asyncio
import ctypes
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any

from taskworks.exceptions import TaskCancelled, TaskTimeout


class Reason(Enum):
    """Why an attempt is to stop."""

    TIMEOUT = "It took longer than its timeout allows."
    CANCEL = "The run was cancelled."
    SHUTDOWN = "The worker stops."

    def exception(self) -> BaseException:
        """What it means to the run."""
        match self:
            case Reason.TIMEOUT:
                return TaskTimeout(self.value)
            case Reason.CANCEL:
                return TaskCancelled(self.value)
            case Reason.SHUTDOWN:
                return WorkerStops(self.value)


class WorkerStops(BaseException):
    """The attempt is broken off, and does not count."""


class Interrupt(BaseException):
    """Raised in a thread; no Exception, so that a task's own handlers let it pass."""


class Guard(ABC):
    """How one attempt can be stopped; ``reason`` says why it was."""

    def __init__(self) -> None:
        self.reason: Reason | None = None

    def ask(self) -> None:  # noqa: B027 - the context says it already, in this process
        """Let the task know that its run is cancelled."""

    @abstractmethod
    def interrupt(self, reason: Reason) -> None:
        """Stop the task if it is being executed; may be called again, for it may not listen."""

    def kill(self, reason: Reason) -> bool:
        """Stop it whether it listens or not; False if there is no way to."""
        return False


class ThreadGuard(Guard):
    """A function in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._is_over = False

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What the function returns; raise what it raises, or what an interruption means."""
        returned = _NOTHING
        try:
            try:
                self._arm()
                returned = function(*args, **kwargs)
            finally:
                self.disarm()
        except Interrupt as interrupt:
            self.disarm()
            if returned is _NOTHING:
                raise self._meaning(interrupt) from None
        return returned

    def interrupt(self, reason: Reason) -> None:
        with self._lock:
            if not self._is_over:
                self.reason = self.reason or reason
                if self._thread:
                    _set_async_exception(self._thread, Interrupt)

    def disarm(self) -> None:
        """No interruption reaches this thread from now on, not even one that is on its way."""
        while True:
            try:
                with self._lock:
                    self._is_over = True
                if self._thread:
                    _set_async_exception(self._thread, None)
                return
            except Interrupt:
                continue

    def _arm(self) -> None:
        with self._lock:
            if self.reason:
                raise self.reason.exception()
            self._thread = threading.get_ident()

    def _meaning(self, interrupt: Interrupt) -> BaseException:
        assert self.reason is not None, "interrupted for a reason"  # noqa: S101
        return self.reason.exception().with_traceback(interrupt.__traceback__)


class CoroutineGuard(Guard):
    """A coroutine on an event loop in another thread."""

    def __init__(self) -> None:
        super().__init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """A task of its own for the coroutine, which it may even cancel itself."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(coroutine)
        if self.reason:
            self._task.cancel()
        return self._task

    def interrupt(self, reason: Reason) -> None:
        self.reason = self.reason or reason
        if self._loop and self._task and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    def meaning(self, error: BaseException) -> BaseException:
        """What a cancellation means, if it came from here."""
        if self.reason and isinstance(error, asyncio.CancelledError):
            return self.reason.exception().with_traceback(error.__traceback__)
        return error


_NOTHING = object()


def _set_async_exception(thread: int, exception: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception) if exception else None
    )
