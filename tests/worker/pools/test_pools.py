"""What a worker's own thread sees of pools whose threads go on meanwhile."""

from collections import deque
from typing import Any

from taskworks.execution import Attempt
from taskworks.models import TaskRun
from taskworks.worker.pools import Pools, Sizes


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
