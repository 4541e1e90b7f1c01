"""
Unblock: make runs ready that have waited for another one, once that has succeeded.

A worker does so as soon as it has written a success that it knows others wait for. Whatever keeps
it from that, as its death, the sweep that comes with every few heartbeats finds them as well.
"""

import time
from collections.abc import Iterable
from uuid import UUID

from taskworks.duties.sender import sender_of
from taskworks.execution import Attempt, cancellation
from taskworks.logs import steady_logger
from taskworks.models.run import FINISHED
from taskworks.progress import OF_SCHEDULE
from taskworks.recording.events import Attempts, Subscriber
from taskworks.signals import announce_cancelled
from taskworks.store import Store
from taskworks.store.blocking import Following

CHUNK = 1000

logger = steady_logger(__name__)


class Followers(Subscriber):
    """
    Unblocks what follows the runs whose outcomes this worker has written. If it does not come to
    that, a sweep does it later.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended: set[UUID] = set()

    def settled(self, attempts: Attempts) -> None:
        self._ended |= {attempt.run.id for attempt in attempts if _is_followed(attempt)}

    def unblock(self) -> bool:
        """Unblock what can be; return whether a run became ready. Free if nothing is followed."""
        if not self._ended:
            return False
        unblocked = _see_to(self._store, self._store.followers(self._ended))
        self._ended = set()  # unless it raised: then the next call tries again
        return unblocked


def _is_followed(attempt: Attempt) -> bool:
    """Return whether the run has ended, and its task or its schedule says that others follow."""
    if attempt.run.state not in FINISHED:
        return False
    if getattr(attempt.task.func, "is_followed", False):
        return True
    return bool(attempt.run.metadata) and "is_followed" in attempt.run.metadata.get(OF_SCHEDULE, ())


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
