"""huey, with Redis or SQLite."""

import sys
from collections.abc import Sequence

from benchmarks.systems.system import NO_ASYNC, NO_BULK, NO_TRANSACTIONS, System

APP = "benchmarks.project.huey_noops.queue"


class Huey(System):
    name = "huey"
    stores = ("redis", "sqlite")
    packages = ("huey", "redis")
    setting = "`huey_consumer`, one thread; results are stored"
    differs = "A task whose worker was killed is lost."
    drains = 4_000
    slows_down = True
    lacks = {**NO_BULK, **NO_TRANSACTIONS, **NO_ASYNC}

    @property
    def worker(self) -> list[str]:
        return [sys.executable, "-m", "huey.bin.huey_consumer", APP, "--quiet", "--no-periodic"]

    def open(self) -> None:
        from benchmarks.project.huey_noops import noop, queue

        self.queue, self.noop = queue, noop

    def clear(self) -> None:
        self.queue.flush()

    def enqueue(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.noop(number, "hello-world")

    def done(self) -> int:
        return self.queue.result_count()
