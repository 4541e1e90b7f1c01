"""An interruption strikes the attempt that it is meant for, or nobody."""

import asyncio
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import pytest

from taskworks.exceptions import TaskCancelled, TaskTimeout
from taskworks.execution import CoroutineGuard, Reason, ThreadGuard
from taskworks.execution.interrupt import WorkerStops

pytestmark = pytest.mark.any_database

ROUNDS = 10_000


@pytest.fixture
def _threads_take_turns_often() -> Iterator[None]:
    """So that an interruption comes at any step, not every five milliseconds."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


often = pytest.mark.usefixtures("_threads_take_turns_often")


class OneThread:
    """A thread that is used again and again."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Any] = SimpleQueue()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def begin(self, function: Callable[[], Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        self.calls.put((function, future))
        return future

    def _work(self) -> None:
        while call := self.calls.get():
            function, future = call
            try:
                result = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)


@pytest.fixture
def thread() -> Iterator[OneThread]:
    one = OneThread()
    yield one
    one.calls.put(None)
    one.thread.join(60)


def count(steps: int) -> int:
    counted = 0
    while counted < steps:
        counted += 1
    return counted


def wait_busily(seconds: float) -> None:
    """Without giving the processor away, so that it ends on time."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def has_seen_both(ends: Counter[str], rounds: int) -> bool:
    """Whether so many interruptions came, of which some were in time, and some too late."""
    is_enough = len(ends) > 1 and min(ends.values()) > rounds / 100
    return ends.total() >= (rounds if is_enough else 10 * rounds)


def count_until(end: list[bool]) -> int:
    counted = 0
    while not end:
        counted += 1
    return counted


def end_of(guard: ThreadGuard, function: Callable[..., int], *args: Any) -> str:
    try:
        return "returned" if guard.call(function, *args) >= 0 else "nonsense"
    except BaseException as error:
        return type(error).__name__


@often
def test_no_interruption_strikes_the_next_call_in_a_thread(thread: OneThread) -> None:
    ends: Counter[str] = Counter()
    delay = 0.0  # it looks for the very end of the call: later if too early, and the reverse
    while not has_seen_both(ends, ROUNDS):
        guard, innocent, end = ThreadGuard(), ThreadGuard(), []
        future = thread.begin(
            lambda g=guard, i=innocent, e=end: (
                end_of(g, count_until, e),
                count(20),
                end_of(i, count, 60),
            )
        )
        end.append(True)
        wait_busily(delay)
        guard.interrupt(Reason.TIMEOUT)
        struck, between, left_alone = future.result(timeout=60)
        assert (between, left_alone) == (20, "returned")
        ends[struck] += 1
        delay = max(0.0, delay + (-1e-6 if struck == "returned" else 1e-6))
    assert set(ends) == {"returned", "TaskTimeout"}, ends


@often
def test_two_interruptions_at_once_are_one(thread: OneThread) -> None:
    ends: Counter[str] = Counter()
    for number in range(ROUNDS // 10):
        guard, innocent = ThreadGuard(), ThreadGuard()
        future = thread.begin(
            lambda g=guard, i=innocent: (end_of(g, count, 2000), end_of(i, count, 60))
        )
        others = [
            threading.Thread(target=guard.interrupt, args=[reason])
            for reason in (Reason.CANCEL, Reason.TIMEOUT)
        ]
        wait_busily((number % 40) * 5e-6)
        for other in others:
            other.start()
        struck, left_alone = future.result(timeout=60)
        for other in others:
            other.join()
        assert left_alone == "returned"
        ends[struck] += 1
    assert set(ends) <= {"returned", "TaskTimeout", "TaskCancelled"}, ends


def test_an_interruption_before_the_call_is_one_of_it(thread: OneThread) -> None:
    guard = ThreadGuard()
    guard.interrupt(Reason.CANCEL)
    assert thread.begin(lambda: end_of(guard, count, 10)).result(30) == "TaskCancelled"
    assert thread.begin(lambda: end_of(ThreadGuard(), count, 10)).result(30) == "returned"


def test_an_interruption_after_the_call_is_none(thread: OneThread) -> None:
    guard = ThreadGuard()
    assert thread.begin(lambda: end_of(guard, count, 10)).result(30) == "returned"
    guard.interrupt(Reason.CANCEL)
    assert guard.reason is None
    assert thread.begin(lambda: count(1000)).result(30) == 1000


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (Reason.TIMEOUT, TaskTimeout),
        (Reason.CANCEL, TaskCancelled),
        (Reason.SHUTDOWN, WorkerStops),
    ],
)
def test_what_a_task_raises_while_it_is_stopped_means_the_same(
    thread: OneThread, reason: Reason, meaning: type[BaseException]
) -> None:
    begun = threading.Event()

    def tidy_up_badly() -> None:
        try:
            begun.set()
            while True:
                pass
        finally:
            raise ValueError("from tidying up")

    guard = ThreadGuard()
    future = thread.begin(lambda: guard.call(tidy_up_badly))
    begun.wait()
    guard.interrupt(reason)
    with pytest.raises(meaning):
        future.result(30)


def test_a_failure_of_its_own_stays_one_and_keeps_its_cause(thread: OneThread) -> None:
    begun = threading.Event()

    def shrug_and_fail() -> None:
        try:
            begun.set()
            while True:
                pass
        except BaseException:
            pass
        raise ValueError("of its own") from KeyError("its cause")

    guard = ThreadGuard()
    future = thread.begin(lambda: guard.call(shrug_and_fail))
    begun.wait()
    guard.interrupt(Reason.TIMEOUT)
    with pytest.raises(ValueError, match="of its own") as caught:
        future.result(30)
    assert isinstance(caught.value.__cause__, KeyError)


class Quiet(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def test_an_interruption_leaves_no_lock_of_the_log_taken(thread: OneThread) -> None:
    handler, logger = Quiet(), logging.Logger("of this test")
    logger.addHandler(handler)

    def log_for_ever(begun: threading.Event) -> None:
        begun.set()
        while True:
            logger.info("still here: %s", 1)

    for _ in range(200):
        guard, begun = ThreadGuard(), threading.Event()
        future = thread.begin(lambda g=guard, b=begun: g.call(log_for_ever, b))
        begun.wait()
        guard.interrupt(Reason.CANCEL)
        assert isinstance(future.exception(timeout=60), TaskCancelled)
        assert handler.lock.acquire(timeout=60)
        handler.lock.release()


async def coroutine(steps: int) -> int:
    for _ in range(steps):
        await asyncio.sleep(0)
    return steps


@often
def test_no_cancellation_strikes_the_next_coroutine_on_a_loop() -> None:
    loop = asyncio.new_event_loop()
    running = threading.Thread(target=loop.run_forever, daemon=True)
    running.start()
    ends: Counter[str] = Counter()

    async def both(guard: CoroutineGuard, begun: threading.Event, steps: int) -> tuple[str, int]:
        try:
            begun.set()
            struck = "returned" if await guard.begin(coroutine(steps)) == steps else "nonsense"
        except asyncio.CancelledError as error:
            struck = type(guard.meaning(error)).__name__
        return struck, await CoroutineGuard().begin(coroutine(2))

    lead = 0  # of who interrupts, above 0 in steps of the coroutine, below in delays
    while not has_seen_both(ends, ROUNDS // 2):
        guard, begun = CoroutineGuard(), threading.Event()
        steps = 2 + max(0, lead)
        future = asyncio.run_coroutine_threadsafe(both(guard, begun, steps), loop)
        begun.wait()
        wait_busily(max(0, -lead) * 3e-6)
        guard.interrupt(Reason.TIMEOUT)
        struck, left_alone = future.result(timeout=60)
        assert left_alone == 2
        ends[struck] += 1
        lead += 1 if struck == "returned" else -1
    loop.call_soon_threadsafe(loop.stop)
    running.join(60)
    loop.close()
    assert set(ends) == {"returned", "TaskTimeout"}, ends
