"""
Unblock: make runs ready that have waited for another one, once that has succeeded.

A worker does so as soon as it has written a success that it knows others wait for. Whatever keeps
it from that, as its death, the sweep that comes with every few heartbeats finds them as well.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from uuid import UUID

from django.db import Error as DatabaseError

from taskworks.duties.sender import sender_of
from taskworks.execution import cancellation
from taskworks.logs import steady_logger
from taskworks.signals import announce_cancelled
from taskworks.store import Store
from taskworks.store.blocking import Following

CHUNK = 1000

logger = steady_logger(__name__)

# Runs that others wait for, and whose outcome this process has just written.
_ended: SimpleQueue[UUID] = SimpleQueue()


def note_ended(run_id: UUID) -> None:
    """That others may wait for this run, and that its outcome is written; in any thread."""
    _ended.put(run_id)


def unblock_noted(store: Store) -> bool:
    """Unblock what waits for the runs noted; whether there was something. Costs nothing if not."""
    if _ended.empty():
        return False
    noted = set(_taken())
    try:
        return _see_to(store, store.followers(noted))
    except DatabaseError:
        for run_id in noted:
            _ended.put(run_id)
        raise


def unblock_all(store: Store) -> None:
    """Unblock all that may be."""
    sweep = Unblocking(store)
    while sweep.step():
        pass


class Unblocking:
    """
    Goes through what is blocked in chunks, again and again: so the cost of a step does not grow
    with how many runs wait.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: UUID | None = None

    def step(self, within: float = 5.0) -> bool:
        """See to the next chunk, for so many seconds; whether there may be more before the end."""
        some = self._store.blocked_since(self._last, CHUNK)
        over = time.monotonic() + within
        for following in some:
            _see_to(self._store, [following])
            self._last = following.run
            if time.monotonic() > over:
                return True
        if len(some) < CHUNK:
            self._last = None
        return self._last is not None


def _taken() -> Iterable[UUID]:
    with suppress(Empty):
        while True:
            yield _ended.get_nowait()


def _see_to(store: Store, blocked: Iterable[Following]) -> bool:
    unblocked = False
    for following in blocked:
        if following.is_settled:
            store.forget_blocked(following)
        elif following.is_free:
            unblocked |= store.unblock(following)
        elif following.is_hopeless:
            _cancel(store, following)
    return unblocked


def _cancel(store: Store, following: Following) -> None:
    reason = f"The run {following.after}, which it was to follow, is gone, and had not succeeded."
    if run := store.cancel_blocked(following, cancellation(reason).entry):
        logger.warning("Run %s of %s is cancelled: %s", run.id, run.task_path, reason)
        if sender := sender_of(run):
            announce_cancelled(sender, run.to_result())
