"""
Stop a task from outside: raise an exception in its thread, or cancel its coroutine.

A guard belongs to one attempt. It is armed only while the task's own code runs, so that nothing
else is ever interrupted. The exception that it raises is private; where it leaves the task, it is
replaced by one that says why, such as TaskTimeout.
"""

import asyncio
import ctypes
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum
from types import TracebackType
from typing import Any

from taskworks import real_time as time
from taskworks.exceptions import OutOfTime, TaskCancelled, TaskTimeout

# Functions that acquire or release a lock, which would stay locked forever after an exception.
LOCK_FUNCTIONS = ("__enter__", "__exit__", "acquire", "release", "_acquireLock", "_releaseLock")
# From Python 3.13 on, the exception may be raised one call later than where the thread is seen.
LOCK_MODULES = ("threading", "queue", "logging") if sys.version_info >= (3, 13) else ()
MAX_LOCK_WAIT = 0.1  # seconds to wait for such code, which may be stuck


class Reason(Enum):
    """Why an attempt is interrupted."""

    TIMEOUT = "The attempt took longer than its timeout."
    CANCEL = "The run was cancelled."
    SHUTDOWN = "The worker is shutting down."
    GIVEN_UP = "The worker was given up."

    def exception(self) -> BaseException:
        """Return the exception that the task appears to have raised."""
        match self:
            case Reason.TIMEOUT:
                return TaskTimeout(self.value)
            case Reason.CANCEL:
                return TaskCancelled(self.value)
            case Reason.SHUTDOWN | Reason.GIVEN_UP:
                return WorkerStops(self.value)


class WorkerStops(BaseException):
    """The attempt is abandoned, and does not count."""


class Interrupt(BaseException):
    """Raised in a thread. Not an Exception, so that a task does not handle it by accident."""


class TimeoutInterrupt(Interrupt, OutOfTime):
    """The same, because of a timeout."""


class Guard:
    """
    Stops one attempt; ``reason`` is set once it is interrupted. This base class can only keep it
    from starting.
    """

    reason: Reason | None = None

    def request_cancel(self) -> None:
        """Tell the task that its run is to be cancelled."""

    def interrupt(self, reason: Reason) -> None:
        """Interrupt the task if it is running. May be called again if it does not stop."""
        self.reason = self.reason or reason

    def cancel_before_start(self) -> bool:
        """Keep the task from starting; return False if it may have started already."""
        self.reason = self.reason or Reason.SHUTDOWN
        return True

    def stack(self) -> TracebackType | None:
        """Return where the task is at this moment, as a traceback, if that is known."""
        return None

    def kill(self, reason: Reason) -> bool:
        """Stop the task by force; return False if that is not possible."""
        return False


class ThreadGuard(Guard):
    """Stops a function that runs in a thread."""

    _thread: int | None = None
    _is_over = False

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call the function; raise what it raises, or the reason's exception if interrupted."""
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
                    _set_async_exception(self._thread, _interrupt(self.reason))

    def cancel_before_start(self) -> bool:
        with self._lock:
            if self._thread is None:
                self.reason = self.reason or Reason.SHUTDOWN
            return self._thread is None

    def disarm(self) -> None:
        """Keep further interruptions from this thread, even one that is pending."""
        while True:
            try:
                with self._lock:
                    self._is_over = True
                if self._thread and self.reason:  # an exception may be pending
                    _take_pending_exception(self._thread)
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
    """Stops a coroutine that runs on an event loop in another thread."""

    _loop: asyncio.AbstractEventLoop | None = None
    _task: "asyncio.Task[Any] | None" = None

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start the coroutine in an asyncio task of its own, which may even cancel itself."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(coroutine)
        if self.reason:
            self._task.cancel()
        return self._task

    def interrupt(self, reason: Reason) -> None:
        self.reason = self.reason or reason
        if self._loop and self._task and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    def cancel_before_start(self) -> bool:
        self.reason = self.reason or Reason.SHUTDOWN  # begin() reads it after setting the task
        return self._task is None

    def meaning(self, error: BaseException) -> BaseException:
        """Return the reason's exception if the error is a cancellation by this guard."""
        return _meaning(error, self.reason, asyncio.CancelledError)


_NOTHING = object()


def _interrupt(reason: Reason) -> type[Interrupt]:
    return TimeoutInterrupt if reason is Reason.TIMEOUT else Interrupt


def _meaning(
    error: BaseException, reason: Reason | None, interrupt: type[BaseException]
) -> BaseException:
    """Return the reason's exception if an interrupt of this class led to the error."""
    if reason is None or not _stems_from(error, interrupt):
        return error
    return reason.exception().with_traceback(error.__traceback__)


def _stems_from(error: BaseException, interrupt: type[BaseException]) -> bool:
    """Return whether an interrupt is the error, its cause or context, or in its group."""
    seen: set[int] = set()
    origins: list[BaseException | None] = [error]
    while origins:
        origin = origins.pop()
        if isinstance(origin, interrupt):
            return True
        if origin and id(origin) not in seen:
            seen.add(id(origin))
            origins += [origin.__cause__, origin.__context__]
            origins += origin.exceptions if isinstance(origin, BaseExceptionGroup) else []
    return False


def _await_locks(thread: int) -> None:
    deadline = time.monotonic() + MAX_LOCK_WAIT
    while _is_at_a_lock(thread) and time.monotonic() < deadline:
        time.sleep(0.001)


def _is_at_a_lock(thread: int) -> bool:
    frame = sys._current_frames().get(thread)
    return frame is not None and (
        frame.f_code.co_name in LOCK_FUNCTIONS or frame.f_globals.get("__name__") in LOCK_MODULES
    )


def _take_pending_exception(thread: int) -> None:
    """
    Raise an exception in this thread, in place of one that may be pending, and catch it. If that
    one were only withdrawn, Python would look for it at every turn of every loop of all threads
    from then on; and while it looks, a traced or profiled function never begins on Python 3.11.
    """
    with suppress(Interrupt):
        _set_async_exception(thread, Interrupt)
        for _ in range(100):  # it is raised at the first turn
            pass


def _set_async_exception(thread: int, exception: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))
