"""What the benchmark must know of a system to measure it."""

import shlex
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from benchmarks.place import Place

BULK = 5_000  # tasks in a call
PROJECT = Path(__file__).resolve().parents[1] / "project"
MANAGE = [sys.executable, str(PROJECT / "manage.py")]


class System:
    """
    A task system at a place. The benchmark itself reads what is declared here; the methods from
    ``open`` on are called in the system's producer alone.
    """

    name: ClassVar[str]
    stores: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    setting: ClassVar[str]  # its worker and what is set, in words
    differs: ClassVar[str] = ""  # what it does not promise, and we do
    drains: ClassVar[int] = 1_000  # runs that one worker is given
    has_bulk: ClassVar[bool] = True
    is_served: ClassVar[bool] = True  # by worker processes
    slows_down: ClassVar[bool] = False  # looks for tasks the more rarely the longer none came
    parts: ClassVar[tuple[str, ...]] = ("enqueue", "drain", "latency", "idle", "held")

    def __init__(self, place: Place) -> None:
        self.place = place

    @classmethod
    def missing(cls) -> str:
        """The packages that it needs and that are not installed."""
        return ", ".join(name for name in cls.packages if not _version(name))

    @classmethod
    def versions(cls) -> str:
        """What is measured."""
        return ", ".join(f"{name} {_version(name)}" for name in cls.packages)

    @property
    def worker(self) -> list[str]:
        """The command of one worker."""
        raise NotImplementedError

    @property
    def command(self) -> list[str]:
        """With the options that were given on the command line."""
        return [*self.worker, *shlex.split(self.place.options)]

    def open(self) -> None:
        """Import what is needed and connect."""

    def close(self) -> None:
        """Leave nothing behind that the place's database does not take with it."""

    def prepare(self) -> None:
        """Make the tables."""

    def clear(self) -> None:
        """Forget all tasks."""
        raise NotImplementedError

    def enqueue(self, numbers: Sequence[int]) -> None:
        """Enqueue the no-op with each of these, one by one, each committed before the next."""
        raise NotImplementedError

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue them in one call."""
        raise NotImplementedError

    def done(self) -> int:
        """How many tasks the store shows as successful."""
        raise NotImplementedError

    def is_done(self, size: int) -> bool:
        """Whether the store shows all of so many tasks as successful; may be asked often."""
        return self.done() >= size

    # The same for all of them.

    def fill(self, size: int) -> None:
        """Enqueue so many tasks, as fast as it can."""
        if self.has_bulk:
            self.seconds_to_enqueue_many(size)
        else:
            self.enqueue(range(size))

    def await_done(self, size: int, patience: float) -> float | None:
        """When the store showed all as successful; None if it has not within ``patience``."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.is_done(size):
                return time.monotonic()
            time.sleep(0.01)
        return None

    def seconds_to_enqueue(self, size: int) -> float:
        """One by one."""
        begin = time.perf_counter()
        self.enqueue(range(size))
        return time.perf_counter() - begin

    def seconds_to_enqueue_many(self, size: int, chunk: int = BULK) -> float:
        """In calls of at most ``chunk``."""
        begin = time.perf_counter()
        for start in range(0, size, chunk):
            self.enqueue_many(range(start, min(start + chunk, size)))
        return time.perf_counter() - begin

    def enqueue_timed(self, number: int) -> tuple[float, float]:
        """When the call began, and when it was committed."""
        begin = time.monotonic()
        self.enqueue([number])
        return begin, time.monotonic()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
