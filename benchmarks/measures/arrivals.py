"""
How long runs wait that arrive at random moments and take a while, beside a simulation of the same
arrivals: the check of ``benchmarks.scale``.
"""

import random
import time
from typing import Any

from benchmarks import marks, processes
from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.measures.drain import await_marks
from benchmarks.simulation import Outcome, delays

RUNS = 1_200
RATE = 60.0  # a second
NAP = 0.05  # seconds that each takes
THREADS = 4  # the default; so they are busy for three quarters of the time
WARM_UP = 0.1  # of the runs
SHARES = (0.5, 0.9, 0.99)


def measure(benchmark: Benchmark) -> None:
    """Measure one worker."""
    for group in benchmark.groups:
        with benchmark.group("arrivals", group) as everyone:
            benchmark.in_turns("arrivals", everyone, lambda one: _delays(benchmark, one))


def _delays(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    runs = benchmark.size(RUNS)
    committed, began = _of_worker(contender, runs)
    simulated = delays(committed, [NAP] * runs, THREADS)
    waited = [begin - moment for begin, moment in zip(began, committed, strict=True)]
    return {**_figures("", waited), **_figures("simulated ", simulated)}


def _figures(prefix: str, waited: list[float]) -> dict[str, float]:
    outcome = Outcome(sorted(waited[round(WARM_UP * len(waited)) :]))
    quantiles = {f"{prefix}p{share * 100:g} ms": outcome.quantile(share) for share in SHARES}
    seconds = {f"{prefix}mean ms": outcome.mean, **quantiles}
    return {name: value * 1000 for name, value in seconds.items()}


def _of_worker(contender: Contender, runs: int) -> tuple[list[float], list[float]]:
    """Return when each run was committed, and when it began."""
    client, place = contender.client, contender.place
    client.call("clear")
    marks.empty(place.marks)
    with processes.running(1, contender.system.command, place.environ, contender.log) as workers:
        client.call("enqueue", [0])
        await_marks(contender, workers, 1)
        committed = client.run(arrive, runs)
        await_marks(contender, workers, 1 + runs)
    began = {mark.number: mark.at for mark in marks.read(place.marks)}
    if len(began) != runs + 1:
        raise NotMeasuredError("a task was lost")
    return committed, [began[number] for number in range(1, runs + 1)]


# Called in the producer.


def arrive(system: Any, runs: int) -> list[float]:
    """Enqueue naps at random moments; return when each was committed."""
    from benchmarks.project.taskworks_noops import nap

    chance = random.Random(runs)
    due, committed = time.monotonic(), []
    for number in range(1, runs + 1):
        due += chance.expovariate(RATE)
        time.sleep(max(0.0, due - time.monotonic()))
        nap.enqueue(number, NAP)
        committed.append(time.monotonic())
    return committed
