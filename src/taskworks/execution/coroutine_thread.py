"""The thread in which a coroutine function's synchronous calls are executed."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

from taskworks.database.connection_places import Place


class CoroutineThread(Executor):
    """One thread, started by the first call. Its database connections need the place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._executor: ThreadPoolExecutor | None = None

    @property
    def has_begun(self) -> bool:
        """True if there was a call."""
        return self._executor is not None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        if self._executor is None:
            self._executor = ThreadPoolExecutor(
                max_workers=1,
                thread_name_prefix="taskworks-coroutine",
                initializer=self._place.guard_connections,
            )
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if self._executor:
            self._executor.shutdown(wait, cancel_futures=cancel_futures)
