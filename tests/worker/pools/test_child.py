"""What a child process does with its orders, over a real pipe; the worker's side is here."""

import multiprocessing
import os
from contextlib import nullcontext

import pytest

from taskworks.worker.pools.child import ChildMain
from taskworks.worker.pools.messages import OrdersRecalled, OrdersReturned, TurnBegun, TurnEnded
from tests.connections import begin_elsewhere

pytestmark = pytest.mark.any_database


def test_the_end_of_a_turn_is_no_order_that_is_recalled() -> None:
    """Its main thread may hear of it after both have come."""
    ours, theirs = multiprocessing.Pipe()
    with ours:
        child = ChildMain(theirs, nullcontext())
        child.start()
        for message in (TurnEnded(), OrdersRecalled()):
            ours.send(message)
        assert ours.poll(60)
        assert ours.recv() == OrdersReturned(())
        turn = begin_elsewhere(lambda: child.work(TurnBegun(1, os.getpid())))
        turn.result(timeout=60)
