"""Where attempts are executed, behind one ``submit``."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from taskworks.execution import Attempt
from taskworks.options.policy import ALONE, ASYNC, PROCESS, THREAD
from taskworks.worker.pools.event_loop import EventLoopPool
from taskworks.worker.pools.pool import Done, Pool
from taskworks.worker.pools.processes import ProcessPool, Recycling
from taskworks.worker.pools.threads import ThreadPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many attempts are executed at once, and when a child process is replaced."""

    threads: int = 4
    async_slots: int = 100
    task_processes: int = 1
    recycling: Recycling = field(default_factory=Recycling)


class Pools:
    """Threads, an event loop, child processes; ``done`` is called in the thread that executed."""

    def __init__(self, sizes: Sizes, sender: type, done: Done) -> None:
        self._pools: dict[str, Pool] = {
            THREAD: ThreadPool(sizes.threads, sender, done),
            ASYNC: EventLoopPool(sizes.async_slots, sender, done),
            PROCESS: ProcessPool(sizes.task_processes, sizes.recycling, sender, done),
            # No worker is without a place for these, or they might wait for ever.
            ALONE: ProcessPool(max(1, sizes.task_processes), sizes.recycling, sender, done),
        }

    @property
    def room(self) -> Mapping[str, int]:
        """How many runs of each executor to claim now."""
        return {executor: pool.room for executor, pool in self._pools.items()}

    @property
    def free(self) -> dict[str, int]:
        """How many attempts of each line would begin at once."""
        return {line: pool.free for line, pool in self._pools.items()}

    def submit(self, attempts: Iterable[Attempt]) -> None:
        """Execute attempts where their tasks belong."""
        for line, of_one in _by_lane(attempts).items():
            self._pools[line].submit(of_one)

    def reserve(self, attempts: Iterable[Attempt]) -> None:
        """Count attempts as if they were submitted, which they may be later."""
        for line, of_one in _by_lane(attempts).items():
            self._pools[line].reserve(len(of_one))

    def cancel_reservation(self, attempts: Iterable[Attempt]) -> None:
        """See reserve()."""
        for line, of_one in _by_lane(attempts).items():
            self._pools[line].reserve(-len(of_one))

    def note(self, attempt: Attempt) -> None:
        """Learn from an attempt that has ended how far ahead to claim."""
        if attempt.began is not None:
            # One that may be executed once only begins no sooner than its start is written, so
            # what is claimed ahead of it waits longer than it takes.
            takes = attempt.age if attempt.run.at_most_once else attempt.duration
            self._pools[attempt.lane].claim_ahead.note(takes)

    def withdraw(self, longer_than: float = 0.0) -> list[Attempt]:
        """What was claimed ahead and waits, from pools where the first does for so many seconds."""
        now = time.monotonic()
        return [
            attempt
            for pool in self._pools.values()
            if now - pool.waits_since >= longer_than
            for attempt in pool.withdraw()
        ]

    def widen(self) -> None:
        """See to it that nothing is held up by one attempt."""
        for pool in self._pools.values():
            pool.widen()

    def close(self) -> None:
        """Let the pools end as soon as they have nothing to execute."""
        for pool in self._pools.values():
            pool.close()


def _by_lane(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    lines: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        lines.setdefault(attempt.lane, []).append(attempt)
    return lines
