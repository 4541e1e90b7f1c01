"""Which limits have slots, and that a slot has become free."""

from collections.abc import Callable, Iterable

from taskworks.execution import Attempt
from taskworks.recording.events import Subscriber
from taskworks.store import Store


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
    Notes that this worker has given back a slot of a limit, and tells the others. ``has_slots``
    says whether a limit has any.
    """

    def __init__(self, store: Store, has_slots: Callable[[str], bool] = lambda limit: True) -> None:
        self._store, self._has_slots = store, has_slots
        self._has_freed = False

    def recorded(self, attempts: Iterable[Attempt]) -> None:
        limits = {attempt.run.limit_name for attempt in attempts}
        if any(limit is not None and self._has_slots(limit) for limit in limits):
            self._has_freed = True
            self._store.notify_workers()

    def take(self) -> bool:
        """Return whether a slot became free since the last call."""
        has_freed, self._has_freed = self._has_freed, False
        return has_freed
