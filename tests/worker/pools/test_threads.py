"""Which threads execute: one alone while tasks are brief, all as soon as one is held up."""

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskworks.worker.pools.threads import ThreadPool
from tests.waiting import wait_for


class Pool(ThreadPool):
    """Executes functions instead of attempts."""

    def __init__(self, size: int) -> None:
        self.ended: list[Any] = []
        super().__init__(size, object, lambda attempt, outcome: self.ended.append(outcome))

    def _execute(self, attempt: Any) -> Any:
        return attempt()

    def learn_of(self, *durations: float) -> None:
        for duration in durations:
            self.claim_ahead.note([duration])

    def wait_for(self, count: int) -> None:
        wait_for(lambda: len(self.ended) >= count, f"{count} have ended")


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(4)
    yield pool
    pool.close()


def thread() -> str:
    return threading.current_thread().name


def together(parties: int) -> list[Callable[[], Any]]:
    """Functions of which none ends before all are called."""
    barrier = threading.Barrier(parties)
    return [lambda: barrier.wait(60)] * parties


def test_brief_ones_are_executed_by_one_thread(pool: Pool) -> None:
    pool.learn_of(*[0.00001] * 10)
    for _ in range(20):
        pool.submit([thread] * 5)  # type: ignore[list-item]
    pool.wait_for(100)
    assert set(pool.ended) == {"taskworks-1"}


@pytest.mark.parametrize("known", [(), [0.01] * 10])
def test_others_are_executed_at_once(pool: Pool, known: list[float]) -> None:
    pool.learn_of(*known)
    pool.submit(together(4))  # type: ignore[arg-type]
    pool.wait_for(4)


def test_no_more_at_once_than_there_are_places(pool: Pool) -> None:
    go, inside = threading.Event(), threading.Semaphore(0)

    def hold_on() -> None:
        inside.release()
        go.wait(60)

    pool.submit([hold_on] * 9)  # type: ignore[list-item]
    assert all(inside.acquire(timeout=60) for _ in range(4))
    assert not inside.acquire(timeout=0.05)
    go.set()
    pool.wait_for(9)


def test_one_that_is_not_brief_holds_nobody_up(pool: Pool) -> None:
    pool.learn_of(*[0.00001] * 10)
    go = threading.Event()
    pool.submit([lambda: go.wait(60), *[thread] * 20])  # type: ignore[list-item]
    wait_for(lambda: pool.widen() or len(pool.ended) >= 20, "the others have ended")
    assert len(pool.ended) == 20
    go.set()
    pool.wait_for(21)


def test_one_that_was_just_woken_is_enough(pool: Pool) -> None:
    """The worker looks again at once, before the one that was woken can take anything."""
    pool.learn_of(*[0.00001] * 10)
    pool._work = lambda: None  # type: ignore[method-assign]
    pool._moved_at = -math.inf
    pool.submit([thread])  # type: ignore[list-item]
    woken_at, pool._moved_at = pool._moved_at, math.inf  # a moment ago
    pool.widen()
    assert woken_at > -math.inf
    assert pool._awake == 1


def test_no_call_is_lost_between_two_threads_of_which_one_falls_asleep(pool: Pool) -> None:
    pool.learn_of(*[0.00001] * 10)
    for number in range(5_000):
        pool.submit([thread])  # type: ignore[list-item]
        if number % 50 == 0:
            pool.wait_for(number + 1)
    pool.wait_for(5_000)
