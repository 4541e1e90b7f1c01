"""Cancel what waits in a queue, or for a task, a limit or a key, in chunks."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from taskworks.actions.verbs import announce
from taskworks.backends.shards import databases_of, in_each
from taskworks.chunks import in_chunks
from taskworks.exceptions import TaskCancelled
from taskworks.models import RunState
from taskworks.models.pause import Scope
from taskworks.store import Store, store
from taskworks.store.cancelling import WAITING
from taskworks.tracebacks import entry_of

READ_AT_ONCE = 10_000  # runs
CLEARED_PER_TRANSACTION = 1000


def clear(scope: Scope) -> int:
    """Cancel those that waited when this began; return how many."""
    return sum(in_each(lambda: _clear(scope), databases_of(scope)))


def _clear(scope: Scope) -> int:
    store().lock_to_write()
    before, cleared = store().read_clock(), 0
    while ended := sum(_announced(ids) for ids in _cancel_all(store(), scope, before)):
        cleared += ended  # and once more: some may have been locked, or have moved on
    return cleared


def _cancel_all(store: Store, scope: Scope, before: datetime) -> Iterator[set[UUID]]:
    """Yield the ids of the runs cancelled in each transaction."""
    for state in WAITING:
        yield from _cancel_in(store, scope, state, before)


def _cancel_in(
    store: Store, scope: Scope, state: RunState, before: datetime
) -> Iterator[set[UUID]]:
    spared: set[UUID] = set()
    while len(spared) < CLEARED_PER_TRANSACTION:
        ids = store.waiting(scope, state, before=before, except_for=spared, limit=READ_AT_ONCE)
        if not ids:
            break
        for some in in_chunks(ids, CLEARED_PER_TRANSACTION):
            cancelled = store.cancel_waiting(some, _entry(scope))
            spared |= {*some} - cancelled
            yield cancelled


def _entry(scope: Scope) -> dict[str, str]:
    what = "key" if scope.key else scope.kind
    return entry_of(TaskCancelled, f"The run was cancelled when its {what} was cleared.")


def _announced(ids: set[UUID]) -> int:
    """Send the signals of these cancelled runs; return how many there are."""
    announce(ids)
    return len(ids)
