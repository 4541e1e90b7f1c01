"""
Rescue: give up silent workers, and recover the runs of dead ones.

The heartbeat of each living worker looks for silent ones, and the supervisor knows of its own
processes that have died. To give up a worker marks its row; to rescue its runs clears their claim
tokens and makes them ready again. If the worker was only frozen, its heartbeat finds the mark, and
it interrupts its attempts and registers under a new id. Whatever it still writes is refused,
because the tokens do not match.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.db import connections

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.duties.sender import sender_of
from taskworks.execution import cancellation, loss
from taskworks.logs import steady_logger
from taskworks.models import TaskRun
from taskworks.signals import announce, announce_cancelled, announce_lost, task_rescued
from taskworks.store import Store

CHUNK = 1000  # runs per transaction

Signal = Callable[[], None]  # sends one
Tell = Callable[[Sequence[TaskRun]], None]

logger = steady_logger(__name__)


def give_up(store: Store, silence: timedelta, witness: UUID) -> int:
    """
    Give up the workers that were silent for ``silence`` while the witness, a living worker, was
    not; return how many.
    """
    given_up = store.give_up(silence, witness)
    if given_up:
        logger.warning("Workers given up as silent: %s.", given_up)
    return given_up


def give_up_dead(store: Store, worker: UUID) -> None:
    """Give up a worker whose process has died."""
    if store.give_up_dead(worker):
        label = store.workers.filter(id=worker).values_list("label", flat=True).first()
        logger.warning("Worker %s given up: its process has died.", label or worker)


def has_some_to_rescue(store: Store, backend: str, takes: Callable[[str], bool]) -> bool:
    """
    Return whether a dead worker's run is left that a batch would have to rescue: one of this
    backend in a queue that it ``takes``, or one of any queue that takes a slot of a limit.
    """
    lost = store.awaiting_rescue(backend, timedelta(seconds=conf().worker_timeout))
    return any(has_slot or takes(queue_name) for queue_name, has_slot in lost)


def rescue(store: Store, within: float = math.inf, tell: Tell = lambda runs: None) -> int:
    """
    Recover every run without a living worker, in chunks; return how many are ready again. A run
    whose cancellation was requested is cancelled; an at-most-once run that has begun fails as
    ``TaskLost``.

    Stop after ``within`` seconds and leave the rest to the next call, because the worker that
    rescues must also send its own heartbeat. For the same reason the receivers of signals, which
    may be slow, are then called in another thread. ``tell`` is called with the runs that were
    recovered, after each write.
    """
    if not store.has_lost():  # nearly always
        return 0
    rescued, over = 0, time.monotonic() + within
    signals = [*_cancel(store, over, tell), *_fail(store, over, tell)]
    for runs in _recovered(partial(store.rescue, CHUNK), over, tell):
        rescued += len(runs)
        signals += _signals_of_rescued(runs)
    if rescued:
        logger.warning("Runs of lost workers made ready again: %s.", rescued)
    if within == math.inf or store.connection.in_atomic_block:
        _send(signals)
    elif signals:
        _begin_to_send(signals)
    return rescued


def wait_for_receivers(seconds: float) -> None:
    """Wait until the receivers of what was rescued have returned, ``seconds`` at most."""
    over = time.monotonic() + seconds
    for thread in [*_sending]:
        thread.join(max(0.0, over - time.monotonic()))


def _cancel(store: Store, over: float, tell: Tell) -> Iterable[Signal]:
    entry = cancellation("The run was cancelled, and its worker was lost.").entry
    for cancelled in _recovered(partial(store.cancel_lost, CHUNK, entry), over, tell):
        for run in cancelled:
            if sender := sender_of(run):
                yield partial(announce_cancelled, sender, run.to_result())


def _fail(store: Store, over: float, tell: Tell) -> Iterable[Signal]:
    entry = loss("Its worker died in the middle of it.").entry
    for lost in _recovered(partial(store.fail_lost, CHUNK, entry), over, tell):
        logger.error("At-most-once runs lost with their workers: %s.", len(lost))
        for run in lost:
            if sender := sender_of(run):
                yield partial(announce_lost, sender, run.to_result)


def _signals_of_rescued(runs: list[TaskRun]) -> Iterable[Signal]:
    for run in runs:
        if sender := sender_of(run):
            yield partial(announce, task_rescued, sender, run.to_result)


def _recovered(
    recover: Callable[[], list[TaskRun]], over: float, tell: Tell
) -> Iterator[list[TaskRun]]:
    """Yield what is recovered, a chunk at a time, until nothing is left, or the time is over."""
    while time.monotonic() < over and (runs := recover()):
        tell(runs)
        yield runs


def _send(signals: Iterable[Signal]) -> None:
    for send in signals:
        send()


_sending: set[threading.Thread] = set()


def _begin_to_send(signals: Iterable[Signal]) -> None:
    def send() -> None:
        try:
            _send(signals)
        finally:
            connections.close_all()
            _sending.discard(threading.current_thread())

    thread = threading.Thread(target=send, name="taskworks-rescued", daemon=True)
    _sending.add(thread)
    thread.start()
