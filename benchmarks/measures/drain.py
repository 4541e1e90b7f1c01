"""
How many tasks per second one worker and two workers execute and record as successful.

The tasks are enqueued before the workers start. Time is measured from the moment when a tenth of
them has been executed and every process has executed one, until the store shows all of them as
successful, so the startup does not count.
"""

import time
from collections.abc import Callable, Sequence

from benchmarks import bare, databases, marks, processes
from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.marks import Mark
from benchmarks.processes import Process

MAX_STALL = 60.0  # seconds without an executed task
MIN_SHARE_LEFT = 0.3  # of the tasks, when the measured time begins


def measure(benchmark: Benchmark) -> None:
    """Measure one worker and two workers of each system, in turns."""
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
    contender: Contender,
    size: int,
    workers: int,
    empty: Callable[[], object] | None = None,
    *,
    supervised: Sequence[str] = (),
) -> float:
    """
    Return tasks per second. ``empty`` replaces the call that deletes all tasks; ``supervised`` is a
    command that starts all workers at once.
    """
    client, place = contender.client, contender.place
    if empty:
        empty()
    else:
        client.call("clear")
    client.call("fill", size)
    databases.settle(place)
    marks.empty(place.marks)
    commands, command = (1, supervised) if supervised else (workers, contender.system.command)
    with processes.running(commands, command, place.environ, contender.log) as started:
        await_marks(contender, started, size)
        end = client.call("await_done", size, MAX_STALL)
        if end is None:
            raise NotMeasuredError(
                f"not all of {size} became successful; {client.call('done')} did"
            )
    return rate_of(marks.read(place.marks), size, workers, end)


def await_marks(contender: Contender, workers: Sequence[Process], size: int) -> None:
    """Wait until ``size`` tasks have been executed."""
    seen, since = 0, time.monotonic()
    while (count := marks.count(contender.place.marks)) < size:
        if count > seen:
            seen, since = count, time.monotonic()
        for worker in workers:
            if not worker.is_alive:
                raise NotMeasuredError(f"its worker ended after {count} tasks: {worker.output}")
        if time.monotonic() - since > MAX_STALL:
            raise NotMeasuredError(f"stalled after {count} of {size} tasks: {workers[0].output}")
        time.sleep(0.01)


def rate_of(left: Sequence[Mark], size: int, workers: int, end: float) -> float:
    """Return tasks per second, from their marks and the time at which the last one was stored."""
    if len({mark.number for mark in left}) != size:
        raise NotMeasuredError("a task was lost")
    first_marks: dict[int, float] = {}
    for mark in left:
        first_marks.setdefault(mark.pid, mark.at)
    if len(first_marks) < workers:
        raise NotMeasuredError(f"only {len(first_marks)} of {workers} workers executed a task")
    begin = max(left[size // 10].at, *first_marks.values())
    after = sum(mark.at > begin for mark in left)
    if after < MIN_SHARE_LEFT * size:
        raise NotMeasuredError(f"only {after} of {size} tasks were left when all had started")
    return after / (end - begin)
