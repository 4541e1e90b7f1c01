"""Rescue: give up workers that are silent, and make the runs of dead ones ready again."""

import logging
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from taskworks.execution import cancellation
from taskworks.framework import InvalidTaskBackend, task_backends
from taskworks.models import TaskRun
from taskworks.signals import announce_cancelled
from taskworks.store import Store

CHUNK = 1000

logger = logging.getLogger(__name__)


def give_up(store: Store, silence: timedelta) -> int:
    """Give up the workers that were silent for so long; say how many."""
    lost = store.give_up(silence)
    if lost:
        logger.warning("Workers given up as silent: %s.", lost)
    return lost


def give_up_dead(store: Store, worker: UUID) -> None:
    """Give up a worker whose process has ended without a word."""
    if store.give_up_dead(worker):
        logger.warning("Worker %s given up, for its process has died.", worker)


def rescue(store: Store) -> int:
    """
    Rescue every run without a living worker, in chunks; say how many. One that somebody wants
    cancelled is cancelled, for nobody is left who would.
    """
    if not store.has_lost():  # which is so nearly always
        return 0
    entry = cancellation("The run was cancelled, and its worker was lost.").entry
    while cancelled := store.cancel_lost(CHUNK, entry):
        for run in cancelled:
            _tell_cancelled(run)
    rescued = 0
    while count := store.rescue(CHUNK):
        rescued += count
    if rescued:
        logger.warning("Runs of lost workers made ready again: %s.", rescued)
    return rescued


def _tell_cancelled(run: TaskRun) -> None:
    with suppress(InvalidTaskBackend):  # this process may not know the backend
        announce_cancelled(type(task_backends[run.backend]), run.to_result())
