"""
The seconds from the command that starts a worker to the first line of a task that waits for it;
then the statements, processor time and memory that the worker uses while it is idle, for all its
processes together; and the memory of ``manage.py shell`` in the same project.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks import databases, marks, processes
from benchmarks.benchmark import Benchmark
from benchmarks.contenders import Contender
from benchmarks.measures.drain import await_marks
from benchmarks.processes import Process
from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE
from benchmarks.wire import Wire, counted

SETTLING_TIME = 2.0  # seconds after the first task
MEASURED_TIME = 8.0  # seconds
MIB = 1024  # kB
START = "seconds to the first task"
VARIABLES = {
    "postgresql": ("PGHOST", "PGPORT"),
    "mariadb": ("MARIADB_HOST", "MARIADB_PORT"),
}


def measure(benchmark: Benchmark) -> None:
    """Measure the systems in turns."""
    for group in benchmark.groups:
        with benchmark.group("idle", group) as everyone:
            benchmark.in_turns("idle", everyone, lambda one: _cost(benchmark, one))


def _cost(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    window = MEASURED_TIME if benchmark.scale == 1 else MEASURED_TIME / 2
    return {**_of_worker(contender, window), **_of_shell(contender)}


def _of_worker(contender: Contender, window: float) -> dict[str, float]:
    contender.client.call("clear")
    marks.empty(contender.place.marks)
    contender.client.call("enqueue", [0])
    with (
        _wired(contender) as (wire, environ),
        _started(contender, environ) as (worker, seconds_to_start),
    ):
        time.sleep(SETTLING_TIME)
        statements, seconds = wire.statements if wire else 0, cpu_seconds(worker)
        started_at = time.monotonic()
        time.sleep(window)
        passed = time.monotonic() - started_at
        costs = {
            START: seconds_to_start,
            "CPU ms/s": (cpu_seconds(worker) - seconds) / passed * 1000,
        }
        if wire:
            costs["statements/s"] = (wire.statements - statements) / passed
        return {**costs, **memory(worker), "processes": len(worker.pids)}


@contextmanager
def _started(contender: Contender, environ: Mapping[str, str]) -> Iterator[tuple[Process, float]]:
    """Yield a worker that has begun a task, and the seconds since its command."""
    commanded_at = time.monotonic()
    with processes.running(1, contender.system.command, environ, contender.log) as workers:
        await_marks(contender, workers, 1)
        first, *_ = marks.read(contender.place.marks)
        yield workers[0], first.at - commanded_at


@contextmanager
def _wired(contender: Contender) -> Iterator[tuple[Wire | None, dict[str, str]]]:
    """Yield the environment of a worker, and a wire that counts its statements, if possible."""
    place = contender.place
    if place.store not in VARIABLES:
        yield None, place.environ
        return
    entry = databases.settings(place)
    with counted(place.store, entry["HOST"], int(entry["PORT"])) as wire:
        host, port = VARIABLES[place.store]
        yield wire, {**place.environ, host: "127.0.0.1", port: str(wire.port)}


def _of_shell(contender: Contender) -> dict[str, float]:
    if not isinstance(contender.system, DjangoSystem):
        return {}
    ready = Path(contender.place.marks + ".shell")
    code = f"import pathlib, time; pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    command = [*MANAGE, "shell", "-c", code]
    with processes.running(1, command, contender.place.environ, contender.log) as [shell]:
        while not ready.exists() and shell.is_alive:
            time.sleep(0.05)
        ready.unlink(missing_ok=True)
        return {f"shell {name}": value for name, value in memory(shell).items()}


# From /proc.


def cpu_seconds(process: Process) -> float:
    """Return the processor time of all its processes, without threads that have ended."""
    nanoseconds = 0
    for pid in process.pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            nanoseconds += int(path.read_text().split()[0])
    return nanoseconds / 1e9


def memory(process: Process) -> dict[str, float]:
    """Return RSS and PSS in MiB; for PSS, shared memory is divided among the processes."""
    kilobytes = {"Rss": 0, "Pss": 0}
    for pid in process.pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in kilobytes:
                kilobytes[name] += int(value.split()[0])
    return {"RSS MiB": kilobytes["Rss"] / MIB, "PSS MiB": kilobytes["Pss"] / MIB}
