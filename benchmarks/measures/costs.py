"""
What a run costs the server and the processes around it: processor time, write-ahead log, and room
on the disk. Only of a server on this machine, whose processes can be seen in ``/proc``.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import databases, marks, processes
from benchmarks.benchmark import Benchmark
from benchmarks.client import NotMeasuredError
from benchmarks.contenders import Contender
from benchmarks.measures.drain import MAX_STALL, await_marks
from benchmarks.measures.idle import cpu_seconds
from benchmarks.place import Place
from benchmarks.systems.system import BULK

ONE_BY_ONE, IN_BULK = 3_000, 20_000  # runs
WARM_UP = 0.1  # of the runs of a drain, before its costs are counted
TICK = os.sysconf("SC_CLK_TCK")

SERVER, LOG, OWN = "server CPU µs", "log bytes", "own CPU µs"
ONE_BY_ONE_PREFIX, IN_BULK_PREFIX, DRAINED = "one by one, ", "in bulk, ", "drained, "
KEPT = "kept bytes"
# A child of the server's first process; or the file with its id.
SESSIONS = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT @@pid_file"}
WRITTEN = {
    "postgresql": "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')",
    "mariadb": "SELECT variable_value FROM information_schema.global_status "
    "WHERE variable_name = 'Innodb_os_log_written'",
}
TABLES = {
    "postgresql": "SELECT pg_total_relation_size('taskworks_taskrun')",
    "mariadb": "SELECT data_length + index_length FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name = 'taskworks_taskrun'",
}


@dataclass(frozen=True)
class Usage:
    """What was used so far, or between two moments."""

    server: float  # seconds of processor time
    log: float  # bytes
    own: float  # seconds of processor time, of our processes

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.server - other.server, self.log - other.log, self.own - other.own)

    def per_run(self, runs: int, prefix: str) -> dict[str, float]:
        """Return the figures of one of so many runs."""
        return {
            f"{prefix}{SERVER}": self.server / runs * 1e6,
            f"{prefix}{LOG}": self.log / runs,
            f"{prefix}{OWN}": self.own / runs * 1e6,
        }


def measure(benchmark: Benchmark) -> None:
    """Measure enqueueing and draining, in turns."""
    for group in benchmark.groups:
        if group in SESSIONS:
            with benchmark.group("costs", group) as everyone:
                benchmark.in_turns("costs", everyone, lambda one: _of(benchmark, one))


def _of(benchmark: Benchmark, contender: Contender) -> dict[str, float]:
    single, many = benchmark.size(ONE_BY_ONE), benchmark.size(IN_BULK, BULK)
    return {
        **_of_enqueueing(contender, single, "seconds_to_enqueue", ONE_BY_ONE_PREFIX),
        **_of_enqueueing(contender, many, "seconds_to_enqueue_many", IN_BULK_PREFIX),
        **_of_drain(contender, many),
    }


def _of_enqueueing(contender: Contender, runs: int, method: str, prefix: str) -> dict[str, float]:
    contender.client.call("clear")
    contender.client.call("fill", 100)  # connects, and warms up
    before = _usage(contender.place, lambda: contender.client.run(own_cpu))
    contender.client.call(method, runs)
    after = _usage(contender.place, lambda: contender.client.run(own_cpu))
    return (after - before).per_run(runs, prefix)


def _of_drain(contender: Contender, runs: int) -> dict[str, float]:
    client, place = contender.client, contender.place
    client.call("clear")
    client.call("fill", runs)
    databases.settle(place)
    marks.empty(place.marks)
    with processes.running(1, contender.system.command, place.environ, contender.log) as workers:
        await_marks(contender, workers, round(WARM_UP * runs))
        begun, before = marks.count(place.marks), _usage(place, lambda: cpu_seconds(workers[0]))
        await_marks(contender, workers, runs)
        if client.call("await_done", runs, MAX_STALL) is None:
            raise NotMeasuredError(f"not all of {runs} became successful")
        after = _usage(place, lambda: cpu_seconds(workers[0]))
    kept = _ask(place, TABLES[place.store]) / runs
    return {**(after - before).per_run(runs - begun, DRAINED), KEPT: kept}


def _usage(place: Place, own: Callable[[], float]) -> Usage:
    return Usage(_server_seconds(place), _ask(place, WRITTEN[place.store]), own())


def _ask(place: Place, question: str) -> float:
    with _answered(place, question) as answer:
        return float(answer)


@contextmanager
def _answered(place: Place, question: str) -> Iterator[Any]:
    """Give what the server answers, while the session lasts."""
    with closing(databases.connect(place)) as connection:
        cursor = connection.cursor()
        cursor.execute(question)
        [answer] = cursor.fetchone()
        yield answer


def _server_seconds(place: Place) -> float:
    """Return the processor time of the server's processes, also of those that have ended."""
    first = _first_process(place)
    return sum(_seconds(stat) for pid, stat in _stats() if first in (pid, _parent(stat)))


def _first_process(place: Place) -> int:
    """Return the id of the process that the server's others are children of."""
    with _answered(place, SESSIONS[place.store]) as session:
        if place.store == "postgresql":
            found = [_parent(stat) for pid, stat in _stats() if pid == session]
        else:
            found = [int(Path(session).read_text())] if Path(session).exists() else []
    if not found:
        raise NotMeasuredError("the processes of the server cannot be seen in /proc")
    return found[0]


def _stats() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            yield int(path.parent.name), path.read_text()


def _parent(stat: str) -> int:
    return int(_values(stat)[1])


def _seconds(stat: str) -> float:
    """Return user and system time, also of children that have ended."""
    return sum(map(int, _values(stat)[11:15])) / TICK


def _values(stat: str) -> list[str]:
    return stat[stat.rindex(")") + 1 :].split()


# Called in the producer.


def own_cpu(system: Any) -> float:
    """Return the processor time of this process."""
    times = os.times()
    return times.user + times.system
