"""
How long a task waits for an idle worker: from the commit of its enqueue to its first line.

Tasks are enqueued 40 to 60 ms apart, so that the worker is idle in between. A worker that polls
less often the longer nothing happens also gets some tasks that are seconds apart.
"""

import random
import time
from collections.abc import Callable

from benchmarks import marks, processes
from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.measures.drain import await_marks
from benchmarks.systems.system import System

TASKS = 100
GAPS = 0.04, 0.06  # seconds between two tasks
RARE, RARE_GAPS = 3, (1.5, 2.5)
IDLE = 1.0  # seconds without a task, before the first


def measure(benchmark: Benchmark) -> None:
    """Measure the systems in turns, with one worker."""
    for group in benchmark.groups:
        with benchmark.group("latency", group) as everyone:
            benchmark.in_turns("latency", everyone, _of(benchmark))


def _of(benchmark: Benchmark) -> Callable[[Contender], dict[str, float]]:
    tasks = benchmark.size(TASKS, 50)

    def latency(contender: Contender) -> dict[str, float]:
        rare = RARE if contender.system.slows_down else 0
        waits, calls = _waits(contender, tasks, rare)
        often = sorted(waits[:tasks])
        figures = {
            "p50 ms": often[tasks // 2],
            "p99 ms": often[tasks * 99 // 100 - 1],
            "p50 ms with the call": sorted(calls[:tasks])[tasks // 2],
        }
        return figures | ({"mean ms, seconds apart": sum(waits[tasks:]) / rare} if rare else {})

    return latency


def _waits(contender: Contender, tasks: int, rare: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds that each task waited since its commit, and since its call."""
    client, place = contender.client, contender.place
    client.call("clear")
    marks.empty(place.marks)
    with processes.running(1, contender.system.command, place.environ, contender.log) as workers:
        client.call("enqueue", [0])
        await_marks(contender, workers, 1)
        times = client.run(trickle, 1, tasks, *GAPS)
        if rare:
            times += client.run(trickle, tasks + 1, rare, *RARE_GAPS)
        await_marks(contender, workers, 1 + tasks + rare)
    started = {mark.number: mark.at for mark in reversed(marks.read(place.marks))}
    if len(started) != len(times) + 1:
        raise NotMeasuredError("a task was lost")
    waits = [(started[number] - at) * 1000 for number, (_, at) in enumerate(times, 1)]
    calls = [(started[number] - at) * 1000 for number, (at, _) in enumerate(times, 1)]
    return waits, calls


# Called in the producer.


def trickle(
    system: System, first: int, tasks: int, least: float, most: float
) -> list[tuple[float, float]]:
    """Enqueue tasks with pauses; return when each was called, and when it was committed."""
    chance = random.Random(first)
    time.sleep(IDLE)
    times = []
    for number in range(first, first + tasks):
        time.sleep(chance.uniform(least, most))
        times.append(system.enqueue_timed(number))
    return times
