"""
What runs in a child process of Celery's: turns, in each of which it executes some runs, as the
worker in the main process orders. Between them Celery has it execute tasks of its own.
"""

import os
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from taskworks.captured_logs import keeping_lines
from taskworks.celery_worker.main_thread_guard import MainThreadGuard, handle_wake_ups
from taskworks.celery_worker.marks import new_mark
from taskworks.worker.pools.child import WORKERS_SIGNALS, ChildMain, keep_from_programs
from taskworks.worker.pools.messages import TurnBegun

# By the address of the worker: that of each backend has one.
_by_worker: dict[str, ChildMain] = {}


def take_turn(address: str, number: int) -> None:
    """Execute what the worker orders until it ends the turn. Called by Celery's pool."""
    child = _by_worker.get(address)
    if child is None or child.is_over:
        child = _by_worker[address] = _new_child(address)
    handle_wake_ups()
    with _signals_for_the_worker(), keeping_lines(), _no_order_left_open(child):
        child.work(TurnBegun(number, os.getpid()))


def _new_child(address: str) -> ChildMain:
    connection = Client(address, family="AF_UNIX")
    assert isinstance(connection, Connection)  # noqa: S101 - as on every POSIX system
    keep_from_programs(connection)
    # Celery has it killed when the main process dies.
    child = ChildMain(
        connection,
        while_executing=nullcontext(),
        new_guard=MainThreadGuard,
        mark=new_mark(Path(address).parent),
    )
    child.start()
    return child


@contextmanager
def _no_order_left_open(child: ChildMain) -> Iterator[None]:
    """End this process if it can no longer say what becomes of its orders: its worker waits."""
    try:
        yield
    except BaseException:  # noqa: BLE001 - what it was about to say may be lost
        traceback.print_exc()
        os._exit(1)
    if child.has_orders:
        os._exit(1)


@contextmanager
def _signals_for_the_worker() -> Iterator[None]:
    """
    Have signals mean nothing here: a service manager may send them to all processes, and the worker
    decides which run has to end. Those that Celery ignores stay so.
    """
    before = {number: signal.getsignal(number) for number in WORKERS_SIGNALS}
    caught = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in caught:
        signal.signal(number, _ignore)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, before[number])


def _ignore(*of_signal: Any) -> None:
    pass
