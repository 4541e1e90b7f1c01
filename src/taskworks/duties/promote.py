"""Promote: make scheduled runs ready when they are due."""

from taskworks.store import Store

CHUNK = 1000  # runs per transaction


def promote(store: Store) -> int:
    """
    Promote the due runs, one chunk at most, so that a million of them do not keep a worker from
    everything else; return how many. If it was a ``CHUNK``, there may be more.
    """
    return store.promote(CHUNK)
