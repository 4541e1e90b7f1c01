"""
What must not follow into the child processes that Celery forks while the worker's threads live.

A child has a copy of all memory, and none of these threads. Their database connections are the
parent's: a driver that closed one there would end it for the parent, too.
"""

import os
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, WeakSet

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from taskworks import real_time as time

LONGEST_WAIT = 5.0  # seconds that a fork waits for imports
GLANCE_INTERVAL = 0.001  # seconds


class Closable(Protocol):
    """A connection, or a socket."""

    def close(self) -> None: ...


_opened_in: WeakKeyDictionary[BaseDatabaseWrapper, int] = WeakKeyDictionary()  # a thread
_apart: WeakSet[Closable] = WeakSet()
_of_other_threads: list[BaseDatabaseWrapper] = []  # while a fork is under way
_inherited: list[BaseDatabaseWrapper] = []  # in a child, which must not even destroy them


def keep_apart(end: Closable) -> None:
    """Have no child that is forked from now on hold this end of a pipe to another one open."""
    _apart.add(end)


def _note_opened(connection: BaseDatabaseWrapper, **of_signal: Any) -> None:
    _opened_in[connection] = threading.get_ident()


def _before() -> None:
    _wait_for_imports()
    here = threading.get_ident()
    for reference in _opened_in.keyrefs():  # a copy, which other threads do not change
        one = reference()
        if one is not None and _opened_in.get(one, here) != here:
            _of_other_threads.append(one)


def _after_in_parent() -> None:
    _of_other_threads.clear()


def _after_in_child() -> None:
    _inherited.extend(_of_other_threads)
    _of_other_threads.clear()
    for wrapper in _inherited:
        with suppress(Exception):  # another driver than those that were tried
            _cut_off(wrapper.connection.fileno())
    for end in _apart:
        with suppress(OSError):
            end.close()


def _wait_for_imports() -> None:
    """
    Wait until no other thread imports anything: in the child, a module that was imported by half
    would stay so, and its lock would stay taken.
    """
    over = time.monotonic() + LONGEST_WAIT
    while _is_imported_elsewhere() and time.monotonic() < over:
        time.sleep(GLANCE_INTERVAL)


def _is_imported_elsewhere() -> bool:
    here, frames = threading.get_ident(), sys._current_frames()
    return any(_imports(frame) for thread, frame in frames.items() if thread != here)


def _imports(frame: FrameType | None) -> bool:
    while frame:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


def _cut_off(descriptor: int) -> None:
    """Have what this process writes there, such as a good-bye, reach nobody."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(nothing, descriptor, inheritable=False)
    finally:
        os.close(nothing)


connection_created.connect(_note_opened, weak=False, dispatch_uid="taskworks.forking")
os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
