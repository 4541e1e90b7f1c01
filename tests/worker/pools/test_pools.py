"""What a worker's own thread sees of pools whose threads go on meanwhile."""

from collections import deque
from typing import Any

import pytest

from taskworks.execution import Attempt, Outcome, Released
from taskworks.models import TaskRun
from taskworks.worker.pools import Pools, Sizes
from tests.waiting import wait_for


class TakenWhileLookedAt(deque[Any]):
    """Its first is taken by another thread as soon as somebody has seen it."""

    def __getitem__(self, index: Any) -> Any:
        first = super().__getitem__(index)
        self.clear()
        return first


def test_what_is_taken_while_it_is_looked_at_waits_for_nobody() -> None:
    pools = Pools(Sizes(threads=1), object, lambda attempt, outcome: None)
    pool = pools._pool("thread")
    pool._waiting = TakenWhileLookedAt([Attempt(TaskRun(), "of a test")])
    assert pools.withdraw(0.0) == []


@pytest.mark.parametrize("lane", ["thread", "async", "alone"])
def test_what_has_waited_here_while_the_worker_was_frozen_does_not_begin(lane: str) -> None:
    """Others may have it by now, or its queue may be paused."""
    outcomes: list[Outcome] = []
    pools = Pools(Sizes(), object, lambda attempt, outcome: outcomes.append(outcome))
    pool = pools._pool(lane)
    pool._max_wait = -1.0
    pool.submit([Attempt(TaskRun(), "of a test")])
    wait_for(lambda: outcomes, "it has an outcome")
    assert outcomes == [Released()]
    pools.close()
    assert pools.join()
