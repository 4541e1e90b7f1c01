"""The bars of shards: two databases, each in a server of its own, with a worker each."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import NotMeasuredError
from benchmarks.contenders import contenders
from benchmarks.measures.drain import MAX_STALL
from benchmarks.own_postgresql import USER, OwnPostgreSQL, in_environment, own_postgresql
from benchmarks.pairs import cpu
from benchmarks.pairs.options import Options
from benchmarks.pairs.ratios import Cost, Pair, in_pairs, verdict
from benchmarks.pairs.site import Site
from benchmarks.processes import running, standing_still
from benchmarks.systems.taskworks import OTHER_PORT, OTHER_SHARD, TaskworksShards

DRAINED = 10_000  # runs of each shard in a pair
PROBED = 10  # runs
BESIDE_ONE, CORES = 1.8, 6  # as fast, where two servers and two workers have processors enough
NEARLY = 0.95
ONLY_POSTGRESQL = "only PostgreSQL has servers of its own here"


def two_shards(options: Options) -> bool:
    """Two shards, beside one: how fast; where processors are short, the server's CPU of a run."""
    with _asked(options) as shards:
        pairs = shards.beside_one(options.size or DRAINED, options.pairs)
    processors = os.cpu_count() or 1
    if processors >= CORES:
        return verdict(pairs, BESIDE_ONE)
    print(f"{processors} processors are too few for two servers and two workers: CPU counts")
    return verdict(pairs, NEARLY, of=("backend",))


def shard_stopped(options: Options) -> bool:
    """A shard while the server of the other one is stopped, beside the same while it is there."""
    size = options.size or DRAINED
    with _asked(options) as shards:

        def alone() -> Cost:
            shards.other.crash()
            try:
                return shards.drained({"default": size})
            finally:
                shards.other.start()
                shards.await_worker_of_other()

        def beside() -> Cost:
            return shards.drained({"default": size})

        beside(), alone()  # warm up
        pairs = in_pairs(beside, alone, options.pairs)
    return verdict(pairs, NEARLY)


@dataclass
class Shards:
    """A project with two databases, and a worker for each."""

    site: Site
    first: OwnPostgreSQL
    other: OwnPostgreSQL

    def beside_one(self, size: int, number: int) -> list[Pair]:
        """Drain ``size`` runs of one shard, and as many of each of both, in so many pairs."""

        def one() -> Cost:
            return self.drained({"default": size})

        def both() -> Cost:
            return self.drained({"default": size, OTHER_SHARD: size})

        one(), both()  # warm up
        return in_pairs(one, both, number)

    def drained(self, sizes: dict[str, int]) -> Cost:
        """Return what a run costs while these many of each shard are executed."""
        cost = self.site.drained(lambda: self._fill(sizes), sum(sizes.values()))
        for shard in sizes:
            self.site.run(await_done, shard)
        return cost

    def await_worker_of_other(self) -> None:
        """Wait until the worker of the other shard executes runs again."""
        self.site.run(reconnect, OTHER_SHARD)
        self.site.run(fill, OTHER_SHARD, PROBED)
        self.site.run(await_done, OTHER_SHARD)

    def _fill(self, sizes: dict[str, int]) -> None:
        with standing_still(self.site.workers):
            for shard, size in sizes.items():
                self.site.run(fill, shard, size)


@dataclass
class Servers:
    """All processes of these servers, also those that write the log and clean tables."""

    servers: list[OwnPostgreSQL]

    def seconds(self) -> dict[int, float]:
        """Return the seconds of each."""
        return cpu.of_processes([pid for server in self.servers for pid in server.pids])


@contextmanager
def _asked(options: Options) -> Iterator[Shards]:
    if options.database != "postgresql":
        raise NotMeasuredError(ONLY_POSTGRESQL)
    with options.files() as files, running_shards(files, options.worker) as shards:
        yield shards


@contextmanager
def running_shards(files: Path, worker: str = "") -> Iterator[Shards]:
    """Yield two shards in new servers; ``worker`` has options of their workers."""

    def fail(name: str, store: str, reason: str) -> None:
        raise NotMeasuredError(f"{name} on {store}: {reason}")

    with ExitStack() as stack:
        first, other = (stack.enter_context(own_postgresql()) for _ in range(2))
        login = {"PGHOST": "127.0.0.1", "PGPORT": first.port, "PGUSER": USER, "PGPASSWORD": ""}
        stack.enter_context(in_environment({**login, OTHER_PORT: other.port}))
        [contender] = stack.enter_context(
            contenders(
                [(TaskworksShards, "postgresql")],
                files,
                fail,
                options={TaskworksShards.name: worker},
            )
        )
        command, environ = contender.system.command, contender.place.environ
        workers = [
            worker
            for shard in ([], ["--backend", OTHER_SHARD])
            for worker in stack.enter_context(
                running(1, [*command, *shard], environ, contender.log)
            )
        ]
        site = Site(contender, workers, Servers([first, other]))
        yield Shards(site, first, other)


# Called in the producer.


def fill(system: TaskworksShards, shard: str, size: int) -> None:
    """Enqueue no-ops for a shard."""
    runs = [(number, "hello-world") for number in range(size)]
    system.noop.using(backend=shard).enqueue_many(runs)


def await_done(system: TaskworksShards, shard: str) -> None:
    """Wait until no run of the shard is ready or in hand."""
    from taskworks.models import TaskRun

    runs, deadline = TaskRun.objects.using(shard), time.monotonic() + MAX_STALL
    while runs.ready().exists() or runs.in_hand().exists():
        if time.monotonic() > deadline:
            raise NotMeasuredError(f"not all runs of the shard {shard!r} became successful")
        time.sleep(0.01)


def reconnect(system: TaskworksShards, shard: str) -> None:
    """Leave the connection to a server that was stopped meanwhile."""
    from django.db import connections

    connections[shard].close()
