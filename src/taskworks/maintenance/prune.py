"""Prune: delete runs that ended long ago."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from taskworks.models import RunState
from taskworks.store import Store

CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which finished runs of a backend are old enough; ``queues`` None is every queue."""

    backend: str
    queues: Sequence[str] | None
    successful: timedelta
    failed: timedelta

    @property
    def ages(self) -> dict[RunState, timedelta]:
        return {
            RunState.SUCCESSFUL: self.successful,
            RunState.FAILED: self.failed,
            RunState.CANCELLED: self.failed,
        }


def prunable(store: Store, retention: Retention) -> int:
    """How many runs ``prune`` would delete now."""
    return sum(
        store.prunable(state, age, retention.backend, retention.queues).count()
        for state, age in retention.ages.items()
    )


def prune(store: Store, retention: Retention) -> int:
    """Delete them, in chunks, so that no statement holds many rows; say how many."""
    return sum(_prune_state(store, retention, state, age) for state, age in retention.ages.items())


def _prune_state(store: Store, retention: Retention, state: RunState, age: timedelta) -> int:
    old = store.prunable(state, age, retention.backend, retention.queues)
    pruned = 0
    while count := store.prune(old, CHUNK):
        pruned += count
    return pruned
