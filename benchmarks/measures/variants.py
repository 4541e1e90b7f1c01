"""
The bare drain with one thing changed or left out at a time, to see whether the table and its query
plans could be cheaper.
"""

from benchmarks import bare
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender

AS_IT_IS = "as it is"
ONLY_READY = {"indexes": "ready"}
VARIANTS = {
    "postgresql": {
        AS_IT_IS: {},
        "parameters bound by the server": {"binding": "unprepared"},
        "prepared": {"binding": "prepared"},
        "with the index of ready runs only": ONLY_READY,
    },
    "mariadb": {AS_IT_IS: {}, "with the index of ready runs only": ONLY_READY},
    "sqlite": {AS_IT_IS: {}, "with the index of ready runs only": ONLY_READY},
}


def measure(benchmark: Benchmark) -> None:
    """Measure the variants in turns."""
    for group in benchmark.groups:
        with benchmark.group("variants", group) as everyone:
            benchmark.in_turns("variants", everyone, lambda one: _all(benchmark, one))


def _all(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    size = benchmark.size(contender.system.drains)
    return {
        name: contender.client.run(
            bare.drain, size, change.get("binding", "as Django"), change.get("indexes", "all")
        )
        for name, change in VARIANTS[contender.place.store].items()
    }
