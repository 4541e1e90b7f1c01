"""
What a background thread does that a fork has to wait for. In the child, where that thread does not
go on, a module that it has imported by half would stay so, and a pipe whose end it was about to
close would stay open.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_WAIT = 5.0  # seconds that a fork waits

_lock = threading.Lock()
_is_held = False  # by a fork


@contextmanager
def no_fork() -> Iterator[None]:
    """Make forks wait for this block, which must not wait for a broker."""
    with _lock:
        yield


def import_what_connecting_takes() -> None:
    """Import what Python itself imports as soon as it looks up a host: without it, nobody could."""
    import encodings.idna  # noqa: F401


def _before_fork() -> None:
    global _is_held  # noqa: PLW0603 - there is one lock in a process
    _is_held = _lock.acquire(timeout=MAX_WAIT)


def _after_in_parent() -> None:
    if _is_held:
        _lock.release()


def _after_in_child() -> None:
    global _lock  # noqa: PLW0603 - whoever held it is not here
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
