"""
How many tasks per second one process enqueues: one by one, each committed, or each in a transaction
of the caller's, or each awaited; and in bulk.
"""

from benchmarks import bare
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender
from benchmarks.systems.system import (
    ASYNC,
    BULK,
    IN_BULK,
    IN_TRANSACTIONS,
    ONE_BY_ONE,
)

SINGLE, MANY = 1_000, 20_000


def measure(benchmark: Benchmark) -> None:
    """Measure the systems in turns, without a worker."""
    for group in benchmark.groups:
        with benchmark.group("enqueue", group) as everyone:
            benchmark.in_turns("enqueue", everyone, lambda one: _rates(benchmark, one))


def _rates(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    single, many = benchmark.size(SINGLE), benchmark.size(MANY, BULK)
    if not contender.system.is_served:
        return _bare_rates(contender, single, many)
    sizes = {
        ONE_BY_ONE: (single, "seconds_to_enqueue"),
        IN_TRANSACTIONS: (single, "seconds_to_enqueue_in_transactions"),
        ASYNC: (single, "seconds_to_enqueue_async"),
        IN_BULK: (many, "seconds_to_enqueue_many"),
    }
    client, rates = contender.client, {}
    for name, (size, method) in sizes.items():
        if name not in contender.system.lacks:
            client.call("clear")
            client.call("fill", 100)  # connects, and warms up
            rates[name] = size / client.call(method, size)
    return rates


def _bare_rates(contender: Contender, single: int, many: int) -> dict[str, float]:
    run = contender.client.run
    return {
        ONE_BY_ONE: run(bare.enqueue, single),
        IN_TRANSACTIONS: run(bare.enqueue_in_transactions, single),
        IN_BULK: run(bare.enqueue_many, many, BULK),
    }
