"""Promote: make scheduled runs ready when they are due."""

from taskworks.store import Store

CHUNK = 1000


def promote(store: Store) -> bool:
    """
    Promote what is due, up to a chunk of it, so that a million due runs do not keep a worker from
    everything else; say whether there may be more.
    """
    return store.promote(CHUNK) == CHUNK
