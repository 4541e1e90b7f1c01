"""Where attempts are executed, behind one ``submit``."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskworks.execution import Attempt
from taskworks.policy import ASYNC, PROCESS, THREAD
from taskworks.worker.loop import EventLoop
from taskworks.worker.processes import ProcessPool, Recycling
from taskworks.worker.slots import Done, Slots
from taskworks.worker.threads import ThreadPool


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
        self._pools: dict[str, Slots] = {
            THREAD: ThreadPool(sizes.threads, sender, done),
            ASYNC: EventLoop(sizes.async_slots, sender, done),
            PROCESS: ProcessPool(sizes.task_processes, sizes.recycling, sender, done),
        }

    @property
    def room(self) -> Mapping[str, int]:
        """How many attempts of each executor would start at once."""
        return {executor: pool.free for executor, pool in self._pools.items()}

    def submit(self, attempt: Attempt) -> None:
        """Execute an attempt where its task belongs."""
        self._pools[attempt.policy.executor].submit(attempt)

    def close(self) -> None:
        """Let the pools end as soon as they have nothing to execute."""
        for pool in self._pools.values():
            pool.close()
