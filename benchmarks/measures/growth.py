"""
A table with a million finished and a million scheduled runs compared with an empty one: what a
claim reads, and how fast a worker drains the same backlog, in turns.
"""

from benchmarks import growth
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender
from benchmarks.measures import drain

OTHERS = 1_000_000  # finished runs, and as many scheduled ones


def measure(benchmark: Benchmark) -> None:
    """Measure Taskworks on each kind of database."""
    for group in benchmark.groups:
        with (
            benchmark.group("growth", group, variant="alone") as alone,
            benchmark.group("growth", group, variant="grown") as grown,
        ):
            if alone and grown:
                _compare(benchmark, alone[0], grown[0])


def _compare(benchmark: Benchmark, alone: Contender, grown: Contender) -> None:
    others = benchmark.size(OTHERS)
    size = benchmark.size(alone.system.drains)

    def both(contender: Contender) -> dict[str, float]:
        return {
            "drain, alone": _rate(contender, size),
            "drain, grown": _rate(grown, size),
        }

    def claims(contender: Contender) -> dict[str, float]:
        costs = {"alone": contender.client.run(growth.cost_of_claim)}
        costs["grown"] = grown.client.run(growth.cost_of_claim)
        return {
            f"claim of 100, {what}, {where}": value
            for where, values in costs.items()
            for what, value in values.items()
        }

    def filled(contender: Contender) -> dict[str, float]:
        grown.client.run(growth.fill, others, others)
        return claims(contender)

    if benchmark.in_turns("growth", [alone], filled, rounds=1):
        benchmark.in_turns("growth", [alone], both)


def _rate(contender: Contender, size: int) -> float:
    return drain.rate(contender, size, 1, empty=lambda: contender.client.run(growth.forget_backlog))
