"""
How many tasks a second one and two workers execute, and record as successful.

A backlog is there when the workers start. The time goes from when a tenth is executed, and every
process has begun, until the store shows all of them as successful. So starting up does not count.
"""

import time
from collections.abc import Callable, Sequence

from benchmarks import bare, databases, marks, processes
from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.marks import Mark
from benchmarks.processes import Process

STALLED = 60.0  # seconds without a task executed
LEAST = 0.3  # of the tasks that must be left when all processes have begun


def measure(benchmark: Benchmark) -> None:
    """One worker and two, of each system in its turn."""
    for group in benchmark.groups:
        with benchmark.group("drain", group) as everyone:
            benchmark.in_turns("drain", everyone, lambda one: _both(benchmark, one))


def _both(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    size = benchmark.size(contender.system.drains, 500)
    if not contender.system.is_served:
        return {"1 worker": contender.client.run(bare.drain, size)}
    return {
        "1 worker": rate(contender, size, 1),
        "2 workers": rate(contender, size, 2),
    }


def rate(
    contender: Contender, size: int, workers: int, empty: Callable[[], object] | None = None
) -> float:
    """Tasks a second; ``empty`` makes place for them, if not the whole store is to be emptied."""
    client, place = contender.client, contender.place
    if empty:
        empty()
    else:
        client.call("clear")
    client.call("fill", size)
    databases.settle(place)
    marks.empty(place.marks)
    with processes.running(
        workers, contender.system.command, place.environ, contender.log
    ) as started:
        await_marks(contender, started, size)
        end = client.call("await_done", size, STALLED)
        if end is None:
            raise NotMeasuredError(
                f"not all of {size} became successful; {client.call('done')} did"
            )
    return rate_of(marks.read(place.marks), size, workers, end)


def await_marks(contender: Contender, workers: Sequence[Process], size: int) -> None:
    """Wait until so many tasks were executed."""
    seen, since = 0, time.monotonic()
    while (count := marks.count(contender.place.marks)) < size:
        if count > seen:
            seen, since = count, time.monotonic()
        for worker in workers:
            if not worker.is_alive:
                raise NotMeasuredError(f"its worker ended after {count} tasks: {worker.output}")
        if time.monotonic() - since > STALLED:
            raise NotMeasuredError(f"stands still at {count} of {size}: {workers[0].output}")
        time.sleep(0.01)


def rate_of(left: Sequence[Mark], size: int, workers: int, end: float) -> float:
    """Tasks a second by their marks, and by when the last was stored."""
    if len({mark.number for mark in left}) != size:
        raise NotMeasuredError("a task was lost")
    begun: dict[int, float] = {}
    for mark in left:
        begun.setdefault(mark.pid, mark.at)
    if len(begun) < workers:
        raise NotMeasuredError(f"of {workers} workers, {len(begun)} have executed something")
    begin = max(left[size // 10].at, *begun.values())
    after = sum(mark.at > begin for mark in left)
    if after < LEAST * size:
        raise NotMeasuredError(f"only {after} of {size} tasks were left when all had begun")
    return after / (end - begin)
