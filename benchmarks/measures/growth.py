"""
A table with ten million finished and a million scheduled runs compared with an empty one: what a
claim reads, and how fast a worker drains the same backlog, in turns.
"""

from benchmarks import growth
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender
from benchmarks.measures import drain

FINISHED, SCHEDULED = 10_000_000, 1_000_000
QUICK_SHARE = 0.005  # of these, because filling the tables takes long
LOST = "drain lost, %"


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
    share = 1 if benchmark.scale == 1 else QUICK_SHARE
    finished, scheduled = int(FINISHED * share), int(SCHEDULED * share)
    size = benchmark.size(alone.system.drains)

    def both(contender: Contender) -> dict[str, float]:
        rates = _rate(contender, size), _rate(grown, size)
        return {"drain, alone": rates[0], "drain, grown": rates[1], LOST: lost(*rates)}

    def claims(contender: Contender) -> dict[str, float]:
        costs = {"alone": contender.client.run(growth.cost_of_claim)}
        costs["grown"] = grown.client.run(growth.cost_of_claim)
        return {
            f"claim of 100, {what}, {where}": value
            for where, values in costs.items()
            for what, value in values.items()
        }

    def filled(contender: Contender) -> dict[str, float]:
        grown.client.run(growth.fill, finished, scheduled)
        return claims(contender)

    if benchmark.in_turns("growth", [alone], filled, rounds=1):
        benchmark.in_turns("growth", [alone], both)


def lost(alone: float, grown: float) -> float:
    """Return how many percent of the speed in an empty table are lost in a large one."""
    return (1 - grown / alone) * 100


def _rate(contender: Contender, size: int) -> float:
    return drain.rate(contender, size, 1, empty=lambda: contender.client.run(growth.forget_backlog))
