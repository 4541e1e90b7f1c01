"""A process that embeds a worker gives it its own pools, wake-ups and subscribers."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from django.db import connections

from taskworks import Task, TaskResult, task_backends
from taskworks.execution import Attempt, ThreadGuard, execute
from taskworks.models import TaskRun
from taskworks.models.run import FINISHED
from taskworks.recording.events import Subscriber
from taskworks.worker import Options, Queues, Sizes, Worker
from taskworks.worker.pools import Done
from tests import tasks
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = 600.0  # seconds between two looks: only a wake-up brings a run before the test's timeout


class HostPools:
    """Executes attempts in threads that belong to the host, not to the worker."""

    def __init__(self, host: ThreadPoolExecutor, sender: type, done: Done) -> None:
        self._host, self._sender, self._done = host, sender, done
        self.submitted: list[Attempt] = []
        self.is_closed = False

    @property
    def room(self) -> Mapping[str, int]:
        return {"thread": 2}

    free = empty = room

    def submit(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self.submitted.append(attempt)
            self._host.submit(self._execute, attempt)

    def _execute(self, attempt: Attempt) -> None:
        guard = attempt.guarded_by(ThreadGuard())
        try:
            outcome = execute(attempt, guard, self._sender)
        finally:
            guard.disarm()
        connections.close_all()
        self._done(attempt, outcome)

    def reserve(self, attempts: Iterable[Attempt]) -> None: ...

    def cancel_reservation(self, attempts: Iterable[Attempt]) -> None: ...

    def note(self, attempts: Iterable[Attempt]) -> None: ...

    def withdraw(self, longer_than: float) -> list[Attempt]:
        return []

    def widen(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    def join(self) -> bool:
        return True


class HostWakeUps:
    """Wakes the worker when the host says so."""

    works = misses_nothing = True

    def __init__(
        self, store: Any, backend: str, queues: Queues, wake: Callable[[], None], **callbacks: Any
    ) -> None:
        self._wake = wake
        self._news: deque[str | None] = deque()
        self.began, self.ended = Event(), Event()

    def start(self) -> None:
        self.began.set()

    def stop(self) -> None:
        self.ended.set()

    def say(self, queue: str) -> None:
        self._news.append(queue)
        self._wake()

    def take(self) -> set[str | None]:
        return {self._news.popleft() for _ in range(len(self._news))}


class Outcomes(Subscriber):
    """Remembers the runs whose outcomes are written."""

    def __init__(self) -> None:
        self.settled_runs: list[str] = []

    def recorded(self, attempts: Iterable[Attempt]) -> None:
        self.settled_runs += [str(attempt.run.id) for attempt in attempts]


class Host:
    """A process of another system, with its own threads, that embeds a worker."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self.outcomes = Outcomes()
        self.worker = Worker(
            task_backends["default"],
            Options(queues=Queues(), interval=NEVER),
            subscribers=[self.outcomes],
            make_pools=self._make_pools,
            make_wake_ups=self._make_wake_ups,
        )

    def _make_pools(self, sizes: Sizes, sender: type, done: Done) -> HostPools:
        self.pools = HostPools(self.threads, sender, done)
        return self.pools

    def _make_wake_ups(self, *args: Any, **callbacks: Any) -> HostWakeUps:
        self.wake_ups = HostWakeUps(*args, **callbacks)
        return self.wake_ups


@pytest.fixture
def host() -> Iterator[Host]:
    with ThreadPoolExecutor(2, "host") as threads, _running(Host(threads)) as host:
        yield host


@contextmanager
def _running(host: Host) -> Iterator[Host]:
    running = begin_elsewhere(host.worker.run)
    try:
        assert host.wake_ups.began.wait(timeout=60)
        yield host
    finally:
        host.worker.stop()
        running.result(timeout=60)
    assert host.wake_ups.ended.is_set()
    assert host.pools.is_closed


def is_over(result: TaskResult) -> bool:
    return TaskRun.objects.get(id=result.id).state in FINISHED


@pytest.mark.parametrize("task", [tasks.noop, tasks.fail])
def test_a_wake_up_brings_a_run_to_the_pools_and_its_outcome_to_the_subscribers(
    host: Host, task: Task[..., object]
) -> None:
    for count in (1, 2):
        result = task.enqueue()
        host.wake_ups.say("default")
        wait_for(lambda: is_over(result), "the run has ended")  # noqa: B023 - called at once

        assert len(host.pools.submitted) == count
        wait_for(
            lambda: host.outcomes.settled_runs[count - 1 :] == [result.id],  # noqa: B023
            "the subscriber has heard of it",
        )
