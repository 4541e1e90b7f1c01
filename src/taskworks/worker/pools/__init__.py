"""Where a worker's attempts are executed: threads, an event loop, child processes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from taskworks import real_time as time
from taskworks.execution import Attempt
from taskworks.options.policy import ALONE, ASYNC, PROCESS, THREAD
from taskworks.worker.pools.event_loop import EventLoopPool
from taskworks.worker.pools.pool import Done, Pool
from taskworks.worker.pools.processes import ProcessPool, Recycling
from taskworks.worker.pools.threads import ThreadPool

__all__ = ["Done", "PoolSet", "Pools", "Recycling", "Sizes"]


class PoolSet(Protocol):
    """
    What a worker needs to execute attempts. The worker calls these methods in its own thread; the
    pools call ``done`` with each attempt and its outcome, in any thread, once it has ended.

    A lane is an executor, or that of runs executed alone, each in a child process.
    """

    @property
    def room(self) -> Mapping[str, int]:
        """How many runs of each lane to claim now."""

    @property
    def empty(self) -> Mapping[str, int]:
        """
        How many slots of each lane nothing has taken or reserved, or waits for. The worker's
        heartbeat reads this in a thread of its own.
        """

    @property
    def free(self) -> Mapping[str, int]:
        """How many of the attempts that have reserved a slot in each lane would begin at once."""

    def submit(self, attempts: Iterable[Attempt]) -> None:
        """Execute these attempts, each in its lane, as soon as there are slots."""

    def reserve(self, attempts: Iterable[Attempt]) -> None:
        """Count attempts as if they were submitted, until ``cancel_reservation``."""

    def cancel_reservation(self, attempts: Iterable[Attempt]) -> None:
        """Count them no more: they are submitted now, or never."""

    def note(self, attempts: Iterable[Attempt]) -> None:
        """Learn from attempts that have ended how far ahead to claim."""

    def withdraw(self, longer_than: float) -> list[Attempt]:
        """
        Take back the attempts that have not begun, from lanes where the first of them has waited
        for ``longer_than`` seconds. ``done`` is not called with these.
        """

    def widen(self) -> None:
        """See to it that one attempt does not hold up others. Called whenever the worker waited."""

    def close(self) -> None:
        """
        Begin to end, and return at once: the worker is leaving. An attempt that is still executed
        may be broken off; the worker releases its run.
        """

    def join(self) -> bool:
        """
        Wait for the processes that were started here, but not much longer than they are given to
        leave. Return whether nothing is executed any more. Called last, after ``close``.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """
    How many attempts are executed at once, how many coroutine functions of them have database
    connections, and when a child process is replaced.
    """

    threads: int = 4
    async_slots: int = 100
    async_connections: int = 20
    task_processes: int = 1
    recycling: Recycling = field(default_factory=Recycling)


class Pools:
    """The ``PoolSet`` of a worker process of our own. Each pool is made when it is first needed."""

    def __init__(self, sizes: Sizes, sender: type, done: Done) -> None:
        self._sizes = {
            THREAD: sizes.threads,
            ASYNC: sizes.async_slots,
            PROCESS: sizes.task_processes,
            # No worker is without a slot for these, or they might wait forever.
            ALONE: max(1, sizes.task_processes),
        }
        self._async_connections, self._recycling = sizes.async_connections, sizes.recycling
        self._sender, self._done = sender, done
        self._pools: dict[str, Pool] = {}

    @property
    def room(self) -> Mapping[str, int]:
        return self._sizes | {lane: pool.room for lane, pool in self._pools.items()}

    @property
    def empty(self) -> Mapping[str, int]:
        return self._sizes | {lane: pool.empty for lane, pool in self._pools.copy().items()}

    @property
    def free(self) -> Mapping[str, int]:
        return self._sizes | {lane: pool.free for lane, pool in self._pools.items()}

    def submit(self, attempts: Iterable[Attempt]) -> None:
        for lane, of_lane in _by_lane(attempts).items():
            self._pool(lane).submit(of_lane)

    def reserve(self, attempts: Iterable[Attempt]) -> None:
        for lane, of_lane in _by_lane(attempts).items():
            self._pool(lane).reserve(len(of_lane))

    def cancel_reservation(self, attempts: Iterable[Attempt]) -> None:
        for lane, of_lane in _by_lane(attempts).items():
            self._pool(lane).reserve(-len(of_lane))

    def note(self, attempts: Iterable[Attempt]) -> None:
        begun = [attempt for attempt in attempts if attempt.began is not None]
        for lane, of_lane in _by_lane(begun).items():
            # An at-most-once run begins only after its start is written, so what is claimed ahead
            # of it waits longer than it takes.
            takes = [one.age if one.run.at_most_once else one.duration for one in of_lane]
            self._pool(lane).claim_ahead.note(takes)

    def withdraw(self, longer_than: float) -> list[Attempt]:
        now = time.monotonic()
        return [
            attempt
            for pool in self._pools.values()
            if now - pool.waits_since >= longer_than
            for attempt in pool.withdraw()
        ]

    def widen(self) -> None:
        for pool in self._pools.values():
            pool.widen()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def join(self) -> bool:
        have_ended = [pool.join() for pool in self._pools.values()]
        return all(have_ended)

    def _pool(self, lane: str) -> Pool:
        if lane not in self._pools:
            self._pools[lane] = self._make(lane)
        return self._pools[lane]

    def _make(self, lane: str) -> Pool:
        size = self._sizes[lane]
        if lane == THREAD:
            return ThreadPool(size, self._sender, self._done)
        if lane == ASYNC:
            return EventLoopPool(size, self._async_connections, self._sender, self._done)
        return ProcessPool(size, self._recycling, self._sender, self._done)


def _by_lane(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    lanes: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        lanes.setdefault(attempt.lane, []).append(attempt)
    return lanes
