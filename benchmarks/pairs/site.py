"""A database with its producer and its workers, in which one side of a pair is measured."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import databases, marks, processes
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender, contenders
from benchmarks.measures.drain import MAX_STALL, await_marks
from benchmarks.pairs import cpu
from benchmarks.pairs.ratios import Cost
from benchmarks.processes import Process
from benchmarks.systems import BY_NAME


@dataclass
class Site:
    """Its workers live as long as it, so no start of a process is part of what is measured."""

    contender: Contender
    workers: Sequence[Process]
    server: cpu.Server

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the producer, with the system as its first argument."""
        return self.contender.client.run(function, *arguments)

    def settle(self) -> None:
        """Update the statistics of tables."""
        databases.settle(self.contender.place)

    def drained(self, begin: Callable[[], object], size: int) -> Cost:
        """
        Return what a run costs while the workers execute those that ``begin`` makes ready, from the
        tenth part to the last of ``size``.
        """
        place = self.contender.place
        marks.empty(place.marks)
        begin()
        await_marks(self.contender, self.workers, size // 10)
        server, workers = self.server.seconds(), self._of_workers()
        first, done = time.monotonic(), marks.count(place.marks)
        await_marks(self.contender, self.workers, size)
        seconds, executed = time.monotonic() - first, marks.count(place.marks) - done
        if not executed:
            raise NotMeasuredError(f"{size} runs are too few: all had begun before the first look")
        server_seconds = cpu.between(server, self.server.seconds())
        worker_seconds = cpu.between(workers, self._of_workers())
        return Cost(
            wall=seconds / executed * 1e6,
            # In SQLite the database works in the process of the worker.
            backend=(worker_seconds if place.store == "sqlite" else server_seconds)
            / executed
            * 1e6,
            workers=worker_seconds / executed * 1e6,
        )

    def drained_all(self, begin: Callable[[], object], size: int) -> Cost:
        """As ``drained``; return when all of them are recorded as well."""
        cost = self.drained(begin, size)
        self.await_done()
        return cost

    def drained_of_backlog(self, size: int) -> Cost:
        """As ``drained_all``, of no-ops that are enqueued while the workers stand still."""
        return self.drained_all(lambda: self._fill(size), size)

    def _fill(self, size: int) -> None:
        with processes.standing_still(self.workers):
            self.contender.client.call("fill", size)

    def await_done(self) -> None:
        """Wait until no run is ready or in hand."""
        if self.contender.client.call("await_done", 0, MAX_STALL) is None:
            raise NotMeasuredError("not all runs became successful")

    def used(self, do: Callable[[], object], number: int) -> Cost:
        """Return what each of a ``number`` of things costs that ``do`` does in the producers."""
        server, begin = self.server.seconds(), time.monotonic()
        do()
        seconds = time.monotonic() - begin
        server_seconds = cpu.between(server, self.server.seconds())
        return Cost(wall=seconds / number * 1e6, backend=server_seconds / number * 1e6)

    def _of_workers(self) -> dict[int, float]:
        return cpu.of_processes([pid for worker in self.workers for pid in worker.pids])


@contextmanager
def site(
    store: str,
    files: Path,
    *,
    workers: int = 1,
    system: str = "taskworks",
    options: str = "",
    source: str = "",
    variant: str = "",
) -> Iterator[Site]:
    """Yield a site with a new database; ``source`` is a folder with another version."""

    def fail(name: str, store: str, reason: str) -> None:
        raise NotMeasuredError(f"{name} on {store}: {reason}")

    with ExitStack() as stack:
        [contender] = stack.enter_context(
            contenders(
                [(BY_NAME[system], store)], files, fail, variant, {system: options}, source=source
            )
        )
        started = stack.enter_context(
            processes.running(
                workers, contender.system.command, contender.place.environ, contender.log
            )
        )
        server = stack.enter_context(closing(cpu.Server(contender.place)))
        yield Site(contender, started, server)
