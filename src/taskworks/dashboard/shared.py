"""Something that all pages of a process share, made when one of them asks for it."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from taskworks import real_time as time
from taskworks.store import store_alias

T = TypeVar("T")

USABLE_FOR = 10.0  # seconds, while a new one is being made
FOREVER = -1.0  # of a lock


class Shared(Generic[T]):
    """
    Makes something of each database when it is asked for, unless the last one is young enough.
    While one thread does so, others get the last one, or wait if that is too old.
    """

    def __init__(self, make: Callable[[], T], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._kept: dict[str, _Kept[T]] = {}

    def get(self, patience: float = FOREVER) -> T:
        """
        Return the last one, or a new one. Raise what making it raises, or TimeoutError if another
        thread is still making it after ``patience`` seconds.
        """
        kept = self._kept.setdefault(store_alias(), _Kept(self._make, self._seconds))
        return kept.get(patience)

    def forget(self) -> None:
        """Make a new one next time: something was changed."""
        for kept in [*self._kept.values()]:
            kept.forget()


class _Kept(Generic[T]):
    """That of one database."""

    def __init__(self, make: Callable[[], T], seconds: float) -> None:
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._last: tuple[float, T] | None = None

    def get(self, patience: float) -> T:
        last = self._last
        if last and _age(last) < self._seconds:
            return last[1]
        if last and _age(last) < USABLE_FOR:
            if not self._lock.acquire(blocking=False):
                return last[1]
        elif not self._lock.acquire(timeout=patience):
            raise TimeoutError
        try:
            return self._made()
        finally:
            self._lock.release()

    def forget(self) -> None:
        self._last = None

    def _made(self) -> T:
        last = self._last
        if last and _age(last) < self._seconds:  # made by whom we have waited for
            return last[1]
        made = self._make()
        self._last = time.monotonic(), made
        return made


def _age(made: tuple[float, object]) -> float:
    return time.monotonic() - made[0]
