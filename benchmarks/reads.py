"""
How long everything takes that people and machines read, with millions of runs: ``python -m
benchmarks.reads``.

It fills a database of its own, asks for each page, fragment, list and metric, and calls each
command, again and again, with everything read anew each time. It prints how long that took, what it
asked of the database, and what the bound of each is. It ends with an error if something is beyond.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

DATABASES = ("postgresql", "mariadb", "sqlite")
RUNS = {"postgresql": 5_000_000, "mariadb": 1_000_000, "sqlite": 1_000_000}
# Seconds: of 95 % of the requests or calls, and of each statement.
LONGEST, LONGEST_STATEMENT = 0.3, 0.25
ROOT = Path(__file__).resolve().parents[1]
HEAD = f"{'':<54}{'p50':>7}{'p95':>7}{'max':>7}{'CPU':>7}{'slowest':>9}  statements\n"


def main() -> None:
    options = _options()
    if len(options.databases) > 1:
        sys.exit(max([*map(_in_a_process_of_its_own, options.databases)]))
    [database] = options.databases
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as folder:
        files = _kept_files() if options.keep else folder
        os.environ |= {
            "TASKWORKS_TEST_DATABASE": database,
            "TASKWORKS_TEST_FILES": files,
            "TASKWORKS_TEST_PREFIX": os.environ.get("TASKWORKS_TEST_PREFIX", "bench_reads"),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings_of_reads",
        }
        import django

        django.setup()
        from django.db import connection, connections

        # Without serialize=False, Django would read all runs that were kept.
        connection.creation.create_test_db(
            verbosity=0, autoclobber=True, keepdb=options.keep, serialize=False
        )
        try:
            beyond = measure(database, options)
        finally:
            connections.close_all()
            if not options.keep:
                connection.creation.destroy_test_db(files, verbosity=0)
    print(f"\n{database}: {len(beyond)} beyond their bounds")
    for complaint in beyond:
        print(f"  {complaint}")
    sys.exit(bool(beyond))


def _kept_files() -> str:
    folder = ROOT / ".cache"
    folder.mkdir(exist_ok=True)
    return str(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reads", description=__doc__)
    add = parser.add_argument
    add("--databases", nargs="+", choices=DATABASES, default=DATABASES, help="default: all")
    add("--runs", type=int, help="default: 5,000,000 on PostgreSQL, else 1,000,000")
    add("--requests", type=int, default=100, help="of each kind; a fifth of it for commands")
    add("--faces", nargs="+", help="only these, such as: commands dashboard fragment admin")
    add("--only", default="", metavar="TEXT", help="only what has this in its name")
    add("--keep", action="store_true", help="keep the filled database, and use it if it is there")
    add("--only-week", action="store_true", help="without the rounds with more runs")
    return parser.parse_args()


def _in_a_process_of_its_own(database: str) -> int:
    """Measure a database, whose settings are those of a process; return the exit code."""
    own = [word for word in sys.argv[1:] if word not in (*DATABASES, "--databases")]
    words = [sys.executable, "-m", "benchmarks.reads", *own, "--databases", database]
    return subprocess.run(words, check=False).returncode


def measure(database: str, options: argparse.Namespace) -> list[str]:
    """Fill the tables step by step, and measure everything after each; return what is too slow."""
    beyond = []
    for number, (title, fill) in enumerate(_steps(options.runs or RUNS[database], options)):
        began = time.perf_counter()
        fill()
        print(f"\n=== {database}, {title} ({time.perf_counter() - began:.0f} s to fill)")
        requests = options.requests if number == 0 else max(1, options.requests // 4)
        for line in _measured(requests, options):
            beyond += line.complaints
    return beyond


def _steps(runs: int, options: argparse.Namespace) -> list[tuple[str, Callable[[], None]]]:
    from benchmarks import week_of_runs
    from taskworks.models import TaskRun

    if TaskRun.objects.exists():
        return [("the tables that were kept, until now", lambda: week_of_runs.renew(runs))]
    more = runs // 5
    steps: list[tuple[str, Callable[[], None]]] = [
        (f"a week of {runs:,} runs", lambda: week_of_runs.fill(runs)),
        (
            f"and {more:,} ready ones, in 200 queues, of 2,000 tasks",
            lambda: week_of_runs.crowd(more),
        ),
        (f"and {more:,} failed ones", lambda: week_of_runs.fail(more)),
    ]
    return steps[:1] if options.only_week else steps


class Line(NamedTuple):
    """What was measured of a face, and what may be at most."""

    name: str
    times: Sequence[float]  # seconds
    cpu: Sequence[float]  # seconds of this process, and not of the database's
    slowest: float  # of all statements that were not given up
    sql: str
    statements: int
    most: int | None  # statements
    given_up: int = 0

    @property
    def complaints(self) -> list[str]:
        _, p95 = _quantiles(self.times)
        found = []
        if p95 > LONGEST:
            found.append(f"{self.name}: p95 of {p95 * 1e3:.0f} ms")
        if self.most is not None and self.statements > self.most:
            found.append(f"{self.name}: {self.statements} statements, and not {self.most}")
        if self.slowest > LONGEST_STATEMENT:
            sql = " ".join(self.sql.split())[:300]
            found.append(f"{self.name}: a statement of {self.slowest * 1e3:.0f} ms: {sql}")
        return found

    def __str__(self) -> str:
        p50, p95, longest, slowest = (
            f"{one * 1e3:.0f}" for one in (*_quantiles(self.times), max(self.times), self.slowest)
        )
        cpu = f"{median(self.cpu) * 1e3:.0f}"
        cells = f"{p50:>7}{p95:>7}{longest:>7}{cpu:>7}{slowest:>9}"
        most = "" if self.most is None else f" of {self.most}"
        said = f", {self.given_up} given up with a sentence" if self.given_up else ""
        verdict = "BEYOND" if self.complaints else "reached"
        return f"{self.name:<54}{cells}  {f'{self.statements}{most}':<9}{verdict}{said}"


def _quantiles(times: Sequence[float]) -> tuple[float, float]:
    if len(times) < 2:
        return times[0], times[0]
    cuts = quantiles(times, n=20, method="inclusive")
    return cuts[9], cuts[18]


def _measured(requests: int, options: argparse.Namespace) -> Iterator[Line]:
    """Yield a line for each face, and print it."""
    print(
        f"Milliseconds; bounds: p95 {LONGEST * 1e3:.0f}, a statement "
        f"{LONGEST_STATEMENT * 1e3:.0f} or a sentence instead"
    )
    print(HEAD, end="")
    yield from _of_commands(requests, options)
    yield from _of_http(requests, options)


def _is_wanted(face: str, name: str, options: argparse.Namespace) -> bool:
    return (not options.faces or face in options.faces) and options.only in name


# Over HTTP.


def _of_http(requests: int, options: argparse.Namespace) -> Iterator[Line]:
    from benchmarks.faces import reads

    for read in reads():
        if _is_wanted(read.face, read.name, options):
            line = _asked_for(read, requests)
            print(line, flush=True)
            yield line


def _asked_for(read: Any, requests: int) -> Line:
    from benchmarks.asked import watching
    from benchmarks.faces import forget

    times, cpu, all_asked = [], [], []
    for _ in range(requests):
        forget()
        with watching() as asked:
            began, before = time.perf_counter(), time.process_time()
            response = read.ask()
            times.append(time.perf_counter() - began)
            cpu.append(time.process_time() - before)
        assert response.status_code == 200, (read.name, response.status_code)
        all_asked.append(asked)
    with watching() as again:  # when what pages share was read already
        read.ask()
    slowest = max((asked.slowest for asked in all_asked), key=lambda one: one.seconds)
    return Line(
        f"{read.face}: {read.name}",
        times,
        cpu,
        slowest.seconds,
        slowest.sql,
        again.count,
        read.most,
        sum(asked.given_up for asked in all_asked),
    )


# Commands.


def _of_commands(requests: int, options: argparse.Namespace) -> Iterator[Line]:
    from benchmarks.faces import commands

    wanted = [words for words in commands() if _is_wanted("commands", " ".join(words), options)]
    for words, answers in groupby(_called(wanted, max(1, requests // 5)), lambda one: one["words"]):
        some = [*answers]
        slowest = max(some, key=lambda one: one["slowest"])
        line = Line(
            f"taskworks {' '.join(words)}"[:53],
            [one["seconds"] for one in some],
            [one["cpu"] for one in some],
            slowest["slowest"],
            slowest["sql"],
            some[0]["statements"],
            None,
            sum(one["given_up"] for one in some),
        )
        print(line, flush=True)
        yield line


def _called(commands: Sequence[Sequence[str]], times: int) -> Iterator[dict[str, Any]]:
    """Call each in new processes; yield what each call has taken."""
    if not commands:
        return
    words = [sys.executable, "-m", "benchmarks.cold_commands", str(times), json.dumps(commands)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        sys.exit(f"benchmarks.cold_commands ended with {process.returncode}.")


if __name__ == "__main__":
    main()
