"""
How much more is executed with more workers, and with two shards: the check of what
``benchmarks.scale`` predicts from the costs of one worker.

Each shard is in a server of PostgreSQL of its own, with default settings, and has a worker. Where
processors are short, their CPU of a run shows whether they would add up, and their rate does not.
"""

from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.measures import drain
from benchmarks.measures.costs import SERVER
from benchmarks.pairs import shards
from benchmarks.pairs.ratios import Cost
from benchmarks.systems.taskworks import TaskworksShards
from benchmarks.tables import OURS

PART = "growing"
RUNS, LEAST = 40_000, 20_000  # in each drain, so that four processes have started early enough
ONE, TWO, FOUR = "1 worker", "2 workers", "4 processes"
PROCESSES = 4
ONE_SHARD, TWO_SHARDS = "1 shard", "2 shards"


def measure(benchmark: Benchmark) -> None:
    """Measure more workers on each kind of database, and two shards where that is possible."""
    for group in benchmark.groups:
        with benchmark.group(PART, group) as everyone:
            benchmark.in_turns(PART, everyone, lambda one: _of_workers(benchmark, one))
        if OURS in benchmark.systems:
            _measure_shards(benchmark, group)


def _of_workers(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    size = benchmark.size(RUNS, LEAST)
    supervised = [*contender.system.command, "--processes", str(PROCESSES)]
    return {
        ONE: drain.rate(contender, size, 1),
        TWO: drain.rate(contender, size, 2),
        FOUR: drain.rate(contender, size, PROCESSES, supervised=supervised),
    }


def _measure_shards(benchmark: Benchmark, store: str) -> None:
    try:
        _compare_shards(benchmark, store)
    except NotMeasuredError as error:
        benchmark.gap(PART, TaskworksShards.name, store, str(error))


def _compare_shards(benchmark: Benchmark, store: str) -> None:
    if store not in TaskworksShards.stores:
        raise NotMeasuredError(shards.ONLY_POSTGRESQL)
    size = benchmark.size(shards.DRAINED)
    with shards.running_shards(benchmark.files, benchmark.options.get(OURS, "")) as both:
        pairs = both.beside_one(size, benchmark.rounds)
        for number, pair in enumerate(pairs):
            figures = {**_of(pair.usual, ONE_SHARD), **_of(pair.measured, TWO_SHARDS)}
            benchmark.note(PART, both.site.contender, number, figures)


def _of(cost: Cost, name: str) -> dict[str, float]:
    return {name: 1e6 / cost.wall, f"{name}, {SERVER}": cost.backend}
