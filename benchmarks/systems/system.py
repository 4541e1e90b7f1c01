"""``System``: what the benchmark must know about a system to measure it."""

import asyncio
import shlex
import sys
import time
from collections.abc import Coroutine, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.place import Place

BULK = 5_000  # tasks in a call
WARM_UP = 20  # tasks
# The measures of enqueueing.
ONE_BY_ONE, IN_TRANSACTIONS, ASYNC, IN_BULK = (
    "one by one",
    "in transactions",
    "async",
    "in bulk",
)
NO_BULK = {IN_BULK: "It has no call that enqueues many tasks."}
NO_ASYNC = {ASYNC: "Its enqueue has no asynchronous form."}
NO_TRANSACTIONS = {
    IN_TRANSACTIONS: "Its queue is not in the project's database, so no transaction has both."
}
PROJECT = Path(__file__).resolve().parents[1] / "project"
MANAGE = [sys.executable, str(PROJECT / "manage.py")]


class System:
    """
    A task system at a place.

    The methods from ``open`` on are called only in the system's producer.
    """

    name: ClassVar[str]
    stores: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    setting: ClassVar[str]  # its worker and settings, in words
    differs: ClassVar[str] = ""  # promises of Taskworks that it does not make
    drains: ClassVar[int] = 1_000  # number of runs that one worker drains
    lacks: ClassVar[dict[str, str]] = {}  # measures of enqueueing that it has no call for, and why
    is_served: ClassVar[bool] = True  # whether it has worker processes
    slows_down: ClassVar[bool] = False  # whether it polls less often the longer nothing happens
    parts: ClassVar[tuple[str, ...]] = ("enqueue", "drain", "latency", "idle", "held")

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def missing(cls) -> str:
        """The packages that it needs and that are not installed."""
        return ", ".join(name for name in cls.packages if not _version(name))

    @classmethod
    def versions(cls) -> str:
        """The versions of the packages that are measured."""
        return ", ".join(f"{name} {_version(name)}" for name in cls.packages)

    @property
    def worker(self) -> list[str]:
        """The command that starts one worker."""
        raise NotImplementedError

    @property
    def command(self) -> list[str]:
        """The command with the options from the command line."""
        return [*self.worker, *shlex.split(self.place.options)]

    def open(self) -> None:
        """Import the packages, and connect."""

    def close(self) -> None:
        """Disconnect, and delete what is not in the place's database."""

    def prepare(self) -> None:
        """Create the tables."""

    def clear(self) -> None:
        """Delete all tasks."""
        raise NotImplementedError

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue the no-op with each number, each committed before the next one."""
        raise NotImplementedError

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue the no-op with all numbers in one call."""
        raise NotImplementedError

    async def enqueue_async(self, numbers: Sequence[int]) -> None:
        """Enqueue the no-op with each number, one after another, in its own asynchronous way."""
        raise NotImplementedError

    def enqueue_in_transactions(self, numbers: Sequence[int]) -> None:
        """Enqueue the no-op with each number, each in a transaction of the caller's."""
        raise NotImplementedError

    def run_async(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run the coroutine in an event loop."""
        asyncio.run(coroutine)

    def done(self) -> int:
        """Return how many tasks the store shows as successful."""
        raise NotImplementedError

    def is_done(self, size: int) -> bool:
        """
        Return whether all ``size`` tasks, which have been executed, are finished in the store; must
        be cheap.
        """
        return self.done() >= size

    # The same for all systems.

    def fill(self, size: int) -> None:
        """Enqueue ``size`` tasks as fast as possible."""
        if IN_BULK not in self.lacks:
            self.seconds_to_enqueue_many(size)
        else:
            self.enqueue(range(size))

    def await_done(self, size: int, patience: float) -> float | None:
        """Return when all tasks are successful; None if they are not after ``patience`` seconds."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.is_done(size):
                end = time.monotonic()
                return end if self.done() >= size else None
            time.sleep(0.01)
        return None

    def seconds_to_enqueue(self, size: int) -> float:
        """Return the seconds to enqueue ``size`` tasks one by one."""
        begin = time.perf_counter()
        self.enqueue(range(size))
        return time.perf_counter() - begin

    def seconds_to_enqueue_in_transactions(self, size: int) -> float:
        """Return the seconds to enqueue ``size`` tasks, each in a transaction of the caller's."""
        begin = time.perf_counter()
        self.enqueue_in_transactions(range(size))
        return time.perf_counter() - begin

    def seconds_to_enqueue_async(self, size: int) -> float:
        """Return the seconds to enqueue ``size`` tasks in an event loop, one after another."""

        async def measured() -> None:
            nonlocal seconds
            await self.enqueue_async(range(WARM_UP))  # opens a connection, for some
            begin = time.perf_counter()
            await self.enqueue_async(range(size))
            seconds = time.perf_counter() - begin

        seconds = 0.0
        self.run_async(measured())
        return seconds

    def seconds_to_enqueue_many(self, size: int, chunk: int = BULK) -> float:
        """Return the seconds to enqueue ``size`` tasks, ``chunk`` per call."""
        begin = time.perf_counter()
        for start in range(0, size, chunk):
            self.enqueue_many(range(start, min(start + chunk, size)))
        return time.perf_counter() - begin

    def enqueue_timed(self, number: int) -> tuple[float, float]:
        """Enqueue one task; return the times before the call and after its commit."""
        begin = time.monotonic()
        self.enqueue([number])
        return begin, time.monotonic()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
