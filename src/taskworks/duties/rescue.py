"""Rescue: give up workers that are silent, and see to the runs of dead ones."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import connections

from taskworks.duties.sender import sender_of
from taskworks.execution import cancellation, loss
from taskworks.logs import steady_logger
from taskworks.models import TaskRun
from taskworks.signals import announce, announce_cancelled, announce_lost, task_rescued
from taskworks.store import Store

CHUNK = 1000

Tell = Callable[[], None]

logger = steady_logger(__name__)


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
    next sweep: who rescues has a heart that must beat. So receivers of signals, which may take
    their time, are then called in another thread.
    """
    if not store.has_lost():  # which is so nearly always
        return 0
    news = [*_cancel(store), *_fail(store)]
    rescued, over = 0, time.monotonic() + within
    while time.monotonic() < over and (runs := store.rescue(CHUNK)):
        rescued += len(runs)
        news += _of_rescued(runs)
    if rescued:
        logger.warning("Runs of lost workers made ready again: %s.", rescued)
    if within == math.inf or store.connection.in_atomic_block:
        _tell(news)
    elif news:
        _begin_to_tell(news)
    return rescued


def wait_until_told(seconds: float) -> None:
    """Wait so long, if need be, until receivers have been called for what was rescued."""
    over = time.monotonic() + seconds
    for thread in [*_telling]:
        thread.join(max(0.0, over - time.monotonic()))


def _cancel(store: Store) -> Iterable[Tell]:
    entry = cancellation("The run was cancelled, and its worker was lost.").entry
    while cancelled := store.cancel_lost(CHUNK, entry):
        for run in cancelled:
            if sender := sender_of(run):
                yield partial(announce_cancelled, sender, run.to_result())


def _fail(store: Store) -> Iterable[Tell]:
    entry = loss("Its worker died in the middle of it.").entry
    while lost := store.fail_lost(CHUNK, entry):
        logger.error("Runs that may be executed once only, lost with their workers: %s.", len(lost))
        for run in lost:
            if sender := sender_of(run):
                yield partial(announce_lost, sender, run.to_result)


def _of_rescued(runs: list[TaskRun]) -> Iterable[Tell]:
    for run in runs:
        if sender := sender_of(run):
            yield partial(announce, task_rescued, sender, run.to_result)


def _tell(news: Iterable[Tell]) -> None:
    for tell in news:
        tell()


_telling: set[threading.Thread] = set()


def _begin_to_tell(news: Iterable[Tell]) -> None:
    def tell() -> None:
        try:
            _tell(news)
        finally:
            connections.close_all()
            _telling.discard(threading.current_thread())

    thread = threading.Thread(target=tell, name="taskworks-rescued", daemon=True)
    _telling.add(thread)
    thread.start()
