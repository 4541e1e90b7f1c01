"""How many tasks per second one process enqueues: one by one, each committed, and in bulk."""

from benchmarks import bare
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender
from benchmarks.systems.system import BULK

SINGLE, MANY = 1_000, 20_000


def measure(benchmark: Benchmark) -> None:
    """Measure the systems in turns, without a worker."""
    for group in benchmark.groups:
        with benchmark.group("enqueue", group) as everyone:
            benchmark.in_turns("enqueue", everyone, lambda one: _both(benchmark, one))


def _both(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    single, many = benchmark.size(SINGLE), benchmark.size(MANY, BULK)
    client = contender.client
    if not contender.system.is_served:
        return {
            "one by one": client.run(bare.enqueue, single),
            "in bulk": client.run(bare.enqueue_many, many, BULK),
        }
    client.call("clear")
    client.call("fill", 100)  # connects, and warms up
    rates = {"one by one": single / client.call("seconds_to_enqueue", single)}
    if contender.system.has_bulk:
        client.call("clear")
        rates["in bulk"] = many / client.call("seconds_to_enqueue_many", many)
    return rates
