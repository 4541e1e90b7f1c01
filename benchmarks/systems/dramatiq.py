"""Dramatiq on Redis, results in Redis."""

import sys
from collections.abc import Sequence

from benchmarks import databases
from benchmarks.systems.system import NO_ASYNC, NO_BULK, NO_TRANSACTIONS, System

APP = "benchmarks.project.dramatiq_noops"


class Dramatiq(System):
    name = "dramatiq"
    stores = ("redis",)
    packages = ("dramatiq", "redis")
    setting = "`dramatiq --processes 1 --threads 8`; the Results middleware, in Redis"
    differs = "Not durable in this setup."
    drains = 4_000
    slows_down = True
    lacks = {**NO_BULK, **NO_TRANSACTIONS, **NO_ASYNC}

    @property
    def worker(self) -> list[str]:
        return [sys.executable, "-m", "dramatiq", APP, "--processes", "1", "--threads", "8"]

    def open(self) -> None:
        from benchmarks.project.dramatiq_noops import noop

        self.noop = noop

    def clear(self) -> None:
        databases.flush_redis()

    def enqueue(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.noop.send(number, "hello-world")

    def done(self) -> int:
        return databases.results()
