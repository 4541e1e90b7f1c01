"""Rescue: give up workers that are silent, and make their runs ready again."""

import logging
from datetime import timedelta

from taskworks.store import Store

CHUNK = 1000

logger = logging.getLogger(__name__)


def rescue(store: Store, silence: timedelta) -> int:
    """Rescue the runs of all workers silent for so long, in chunks; say how many runs."""
    if lost := store.give_up(silence):
        logger.warning("Workers given up as silent: %s.", lost)
    rescued = 0
    while count := store.rescue(CHUNK):
        rescued += count
        if count < CHUNK:
            break
    if rescued:
        logger.warning("Runs of lost workers made ready again: %s.", rescued)
    return rescued
