"""Rescue: give up workers that are silent, and see to the runs of dead ones."""

import logging
import math
import time
from datetime import timedelta
from uuid import UUID

from taskworks.execution import cancellation, loss
from taskworks.framework import InvalidTaskBackend, task_backends
from taskworks.models import TaskRun
from taskworks.signals import announce, announce_cancelled, announce_lost, task_rescued
from taskworks.store import Store

CHUNK = 1000

logger = logging.getLogger(__name__)


def give_up(store: Store, silence: timedelta, witness: UUID) -> int:
    """Give up the workers that were silent while the witness was not; say how many."""
    lost = store.give_up(silence, witness)
    if lost:
        logger.warning("Workers given up as silent: %s.", lost)
    return lost


def give_up_dead(store: Store, worker: UUID) -> None:
    """Give up a worker whose process has ended without a word."""
    if store.give_up_dead(worker):
        logger.warning("Worker %s given up, for its process has died.", worker)


def rescue(store: Store, within: float = math.inf) -> int:
    """
    See to every run without a living worker, in chunks; say how many are ready again. One that
    somebody wants cancelled is cancelled, for nobody is left who would; one that has begun and may
    be executed once only is failed as ``TaskLost``. After so many seconds the rest is left to the
    next sweep: who rescues has a heart that must beat.
    """
    if not store.has_lost():  # which is so nearly always
        return 0
    _cancel(store)
    _fail(store)
    rescued, over = 0, time.monotonic() + within
    while time.monotonic() < over and (runs := store.rescue(CHUNK)):
        rescued += len(runs)
        _tell_rescued(runs)
    if rescued:
        logger.warning("Runs of lost workers made ready again: %s.", rescued)
    return rescued


def _cancel(store: Store) -> None:
    entry = cancellation("The run was cancelled, and its worker was lost.").entry
    while cancelled := store.cancel_lost(CHUNK, entry):
        for run in cancelled:
            if sender := _sender(run):
                announce_cancelled(sender, run.to_result())


def _fail(store: Store) -> None:
    entry = loss("Its worker died in the middle of it.").entry
    while lost := store.fail_lost(CHUNK, entry):
        logger.error("Runs that may be executed once only, lost with their workers: %s.", len(lost))
        for run in lost:
            if sender := _sender(run):
                announce_lost(sender, run.to_result)


def _tell_rescued(runs: list[TaskRun]) -> None:
    for run in runs:
        if sender := _sender(run):
            announce(task_rescued, sender, run.to_result)


def _sender(run: TaskRun) -> type | None:
    """The class of the run's backend; None if this process does not know it."""
    try:
        return type(task_backends[run.backend])
    except InvalidTaskBackend:
        return None
