"""
The cost of firing schedules, and how late they fire: 10,000 that are due over one hour, watched for
a few minutes in real time.

The worker consumes a queue without runs, so it only fires schedules; its cost without enabled
schedules is subtracted.
"""

import time

from benchmarks import processes
from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.measures.idle import cpu_seconds
from benchmarks.systems.taskworks import Taskworks

SCHEDULES = 10_000
HOUR = 3600
WINDOW = 180.0  # seconds
CALM = 20.0  # seconds without a schedule, and then until the first firings have passed
OTHER_QUEUE = "of-nobody"
NAME = "taskworks"


def measure(benchmark: Benchmark) -> None:
    """Measure Taskworks; the others fire from a single process, or have no schedules."""
    for group in benchmark.groups:
        with benchmark.group("schedules", group, only=[NAME]) as everyone:
            benchmark.in_turns("schedules", everyone, lambda one: _cost(benchmark, one), rounds=1)


def _cost(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    window = max(30.0, WINDOW * benchmark.scale)
    contender.client.call("clear")
    command = [*contender.system.command, "--queues", OTHER_QUEUE]
    with processes.running(1, command, contender.place.environ, contender.log) as [worker]:
        time.sleep(CALM / 2)
        idle = _cpu(worker, CALM)
        contender.client.run(make, SCHEDULES)
        time.sleep(CALM / 2)
        before = contender.client.run(count)
        cpu = _cpu(worker, window)
        lateness = contender.client.run(latenesses, before)
        if not worker.is_alive:
            raise NotMeasuredError(f"its worker ended: {worker.output}")
    if not lateness:
        raise NotMeasuredError("no schedule fired")
    lateness.sort()
    return {
        "CPU ms/s": (cpu - idle) * 1000,
        "CPU ms per firing": (cpu - idle) * window / len(lateness) * 1000,
        "firings": float(len(lateness)),
        "late p50 ms": lateness[len(lateness) // 2] * 1000,
        "late p99 ms": lateness[int(len(lateness) * 0.99)] * 1000,
        "late max ms": lateness[-1] * 1000,
    }


def _cpu(worker: processes.Process, window: float) -> float:
    """Return the processor time used per second."""
    cpu, started = cpu_seconds(worker), time.monotonic()
    time.sleep(window)
    return (cpu_seconds(worker) - cpu) / (time.monotonic() - started)


# Called in the producer.


def make(system: Taskworks, number: int) -> None:
    """Create schedules, each due once an hour, spread over all its seconds."""
    from taskworks.models import Schedule
    from taskworks.store import store

    now, path = store().read_clock(), system.noop.module_path
    schedules = [
        Schedule(
            label=f"schedule {n}",
            path=path,
            args=[n, "hello-world"],
            cron=f"{second // 60} * * * * {second % 60}",
            timezone="Europe/Berlin",
        )
        for n in range(number)
        for second in [n * HOUR // number]
    ]
    for schedule in schedules:
        schedule.plan(now)  # otherwise the worker would do that first
    Schedule.objects.bulk_create(schedules, batch_size=1000)


def count(system: Taskworks) -> int:
    """Return how often schedules have fired."""
    from taskworks.models import Firing

    return Firing.objects.count()


def latenesses(system: Taskworks, after: int) -> list[float]:
    """Return by how many seconds each firing was late, without the first ones."""
    from taskworks.models import Firing

    rows = Firing.objects.order_by("id").values_list("planned_at", "fired_at")
    return [(fired - planned).total_seconds() for planned, fired in rows[after:]]
