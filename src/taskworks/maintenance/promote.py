"""Promote: make scheduled runs ready when they are due."""

from taskworks.store import Store

CHUNK = 1000


def promote(store: Store) -> int:
    """Promote all that is due, in chunks; say how many."""
    promoted = 0
    while count := store.promote(CHUNK):
        promoted += count
        if count < CHUNK:
            break
    return promoted
