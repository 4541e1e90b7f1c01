"""
Stop a task from outside: raise in its thread, or cancel its coroutine, and never strike another.

A guard belongs to one attempt. It is armed for just as long as the task's own lines run; what is
raised in them is private, and turned at their border into what it means.
"""

import asyncio
import ctypes
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from enum import Enum
from types import TracebackType
from typing import Any

from taskworks.exceptions import TaskCancelled, TaskTimeout

# Functions that take a lock or give it back: left by an exception, it would stay taken for good.
AT_LOCKS = ("__enter__", "__exit__", "acquire", "release", "_acquireLock", "_releaseLock")
# From Python 3.13 on an exception may come one call later than where the thread is seen.
OF_LOCKS = ("threading", "queue", "logging") if sys.version_info >= (3, 13) else ()
AWAIT_LOCKS = 0.1  # seconds that an interruption waits for such code, which may be stuck


class Reason(Enum):
    """Why an attempt is to stop."""

    TIMEOUT = "It took longer than its timeout allows."
    CANCEL = "The run was cancelled."
    SHUTDOWN = "The worker stops."
    GIVEN_UP = "The worker was given up."

    def exception(self) -> BaseException:
        """What it means to the run."""
        match self:
            case Reason.TIMEOUT:
                return TaskTimeout(self.value)
            case Reason.CANCEL:
                return TaskCancelled(self.value)
            case Reason.SHUTDOWN | Reason.GIVEN_UP:
                return WorkerStops(self.value)


class WorkerStops(BaseException):
    """The attempt is broken off, and does not count."""


class Interrupt(BaseException):
    """Raised in a thread; no Exception, so that a task's own handlers let it pass."""


class Guard:
    """How one attempt can be stopped, here before it is executed; ``reason`` says why it was."""

    def __init__(self) -> None:
        self.reason: Reason | None = None

    def ask(self) -> None:
        """Let the task know that its run is cancelled."""

    def interrupt(self, reason: Reason) -> None:
        """Stop the task if it is being executed; may be called again, for it may not listen."""
        self.reason = self.reason or reason

    def withdraw(self) -> bool:
        """Keep the task from beginning; False if its first line may have run already."""
        self.reason = self.reason or Reason.SHUTDOWN
        return True

    def stack(self) -> TracebackType | None:
        """Where the task is at this moment, as a traceback, if that is known."""
        return None

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
        except BaseException as error:
            self.disarm()
            if returned is not _NOTHING:
                return returned
            meaning = _meaning(error, self.reason, Interrupt)
            if meaning is error:
                raise
            raise meaning from None
        return returned

    def interrupt(self, reason: Reason) -> None:
        with self._lock:
            if not self._is_over:
                self.reason = self.reason or reason
                if self._thread:
                    _await_locks(self._thread)
                    _set_async_exception(self._thread, Interrupt)

    def withdraw(self) -> bool:
        with self._lock:
            if self._thread is None:
                self.reason = self.reason or Reason.SHUTDOWN
            return self._thread is None

    def disarm(self) -> None:
        """No interruption reaches this thread from now on, not even one that is on its way."""
        while True:
            try:
                with self._lock:
                    self._is_over = True
                if self._thread and self.reason:  # or nobody has set one
                    _set_async_exception(self._thread, None)
                return
            except Interrupt:
                continue

    def stack(self) -> TracebackType | None:
        frame = sys._current_frames().get(self._thread or 0)
        traceback = None
        while frame and frame.f_code is not ThreadGuard.call.__code__:
            traceback = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno or 0)
            frame = frame.f_back
        return traceback

    def _arm(self) -> None:
        with self._lock:
            if self.reason:
                raise self.reason.exception()
            self._thread = threading.get_ident()


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

    def withdraw(self) -> bool:
        self.reason = self.reason or Reason.SHUTDOWN  # begin() looks at it after it has its task
        return self._task is None

    def meaning(self, error: BaseException) -> BaseException:
        """What a cancellation means, if it came from here."""
        return _meaning(error, self.reason, asyncio.CancelledError)


_NOTHING = object()


def _meaning(
    error: BaseException, reason: Reason | None, means: type[BaseException]
) -> BaseException:
    """The reason as an exception, if an interruption by these means led to the error."""
    if reason is None or not _stems_from(error, means):
        return error
    return reason.exception().with_traceback(error.__traceback__)


def _stems_from(error: BaseException, means: type[BaseException]) -> bool:
    """Whether it is one of these, or was raised while one was handled, or has one in its group."""
    seen: set[int] = set()
    origins: list[BaseException | None] = [error]
    while origins:
        origin = origins.pop()
        if isinstance(origin, means):
            return True
        if origin and id(origin) not in seen:
            seen.add(id(origin))
            origins += [origin.__cause__, origin.__context__]
            origins += origin.exceptions if isinstance(origin, BaseExceptionGroup) else []
    return False


def _await_locks(thread: int) -> None:
    patience = time.monotonic() + AWAIT_LOCKS
    while _is_at_a_lock(thread) and time.monotonic() < patience:
        time.sleep(0.001)


def _is_at_a_lock(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    return frame is not None and (
        frame.f_code.co_name in AT_LOCKS or frame.f_globals.get("__name__") in OF_LOCKS
    )


def _set_async_exception(thread: int, exception: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception) if exception else None
    )
