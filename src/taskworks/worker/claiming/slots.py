"""Which limits have slots, and that a slot has become free."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from django.db import Error as DatabaseError

from taskworks.execution import Attempt
from taskworks.logs import steady_logger
from taskworks.models import TaskRun
from taskworks.recording.events import Subscriber
from taskworks.store import Store

logger = steady_logger(__name__)


class Slots:
    """Which limits have slots, as far as claims from them have told."""

    def __init__(self) -> None:
        self._without = set[str]()

    def note(self, limit: str, counts_slots: bool | None) -> None:
        """Note what a claim has told; None is nothing."""
        if counts_slots:
            self._without.discard(limit)
        elif counts_slots is not None:
            self._without.add(limit)

    def has(self, limit: str) -> bool:
        """Return whether a run of a limit that has ended may make room for another one."""
        return limit not in self._without


class FreedSlots(Subscriber):
    """
    Counts the slots of limits that this worker has given back and not taken again, and tells the
    others of them. ``has_slots`` says whether a limit has any, and ``is_shared`` whether runs may
    wait for them that this worker does not take: then the others are told first.
    """

    def __init__(
        self,
        store: Store,
        has_slots: Callable[[str], bool] = lambda limit: True,
        is_shared: Callable[[str], bool] = lambda limit: False,
    ) -> None:
        self._store, self._has_slots, self._is_shared = store, has_slots, is_shared
        self._free = Counter[KeyOfLimit]()
        self._has_freed = False

    def recorded(self, attempts: Iterable[Attempt]) -> None:
        keys = [key for attempt in attempts if (key := _key_of(attempt.run))]
        freed = [key for key in keys if self._has_slots(key.limit)]
        if not freed:
            return
        self._has_freed = True
        ours = [key for key in freed if not self._is_shared(key.limit)]
        self._free += Counter(ours)
        if len(ours) < len(freed):
            self._store.notify_workers()

    def take(self) -> bool:
        """Return whether a slot became free since the last call."""
        has_freed, self._has_freed = self._has_freed, False
        return has_freed

    def note_claimed(self, runs: Iterable[TaskRun]) -> None:
        """Note that these runs have taken slots."""
        if self._free:
            self._free -= Counter([key for run in runs if (key := _key_of(run))])

    def tell_others(self) -> None:
        """
        Tell other workers if there are slots that this one has not taken again. If the database
        fails, the next call does.
        """
        if not self._free:
            return
        try:
            self._store.notify_workers()
        except DatabaseError:
            raise
        except Exception:  # of another way to wake them
            logger.exception("Other workers could not be told of a free slot of a limit.")
        self._free.clear()


class KeyOfLimit(NamedTuple):
    """Whose slots they are."""

    limit: str
    lane: str | None


def _key_of(run: TaskRun) -> KeyOfLimit | None:
    return None if run.limit_name is None else KeyOfLimit(run.limit_name, run.lane)
