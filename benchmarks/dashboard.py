"""
How long the pages of the dashboard take with millions of runs: ``python -m benchmarks.dashboard``.

It fills a database of its own, asks for each page and fragment again and again, with everything
read anew each time, and prints how long that took and what it asked of the database. It ends with
an error if a page is beyond its bounds, or if a statement was given up because it took too long.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

DATABASES = ("postgresql", "mariadb", "sqlite")
SLOWEST = 0.3  # seconds, of 95 % of the requests for a page, or of all statements of a command
MOST_STATEMENTS, MOST_OF_FRAGMENT = 12, 4
OURS = "taskworks_"  # in statements of ours, and not of Django about the user
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="taskworks-bench-") as folder:
        files = str(ROOT / ".cache") if options.keep else folder
        os.environ |= {
            "TASKWORKS_TEST_DATABASE": options.database,
            "TASKWORKS_TEST_FILES": files,
            "TASKWORKS_TEST_PREFIX": os.environ.get("TASKWORKS_TEST_PREFIX", "bench_dashboard"),
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings_of_dashboard",
        }
        import django

        django.setup()
        from django.db import connection, connections

        connection.creation.create_test_db(verbosity=0, autoclobber=True, keepdb=options.keep)
        try:
            failures = measure(options)
        finally:
            connections.close_all()
            if not options.keep:
                connection.creation.destroy_test_db(str(Path(files)), verbosity=0)
    for failure in failures:
        print(f"BEYOND ITS BOUND: {failure}")
    sys.exit(bool(failures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    add = parser.add_argument
    add("--database", choices=DATABASES, default="postgresql")
    add("--runs", type=int, help="default: 5,000,000 on PostgreSQL, else 1,000,000")
    add("--requests", type=int, default=100, help="for each page; default: 100")
    add("--keep", action="store_true", help="keep the filled database, and use it if it is there")
    add("--only-week", action="store_true", help="without the rounds with more runs")
    options = parser.parse_args()
    if options.runs is None:
        options.runs = 5_000_000 if options.database == "postgresql" else 1_000_000
    return options


def measure(options: argparse.Namespace) -> list[str]:
    """Fill the tables step by step, and measure everything after each; return what is too slow."""
    from benchmarks import week_of_runs
    from taskworks.models import TaskRun

    more = options.runs // 5
    steps: list[tuple[str, Callable[[int], None], int]] = [
        (f"a week of {options.runs:,} runs", week_of_runs.fill, options.runs),
        (f"and {more:,} ready ones, in 200 queues, of 2,000 tasks", week_of_runs.crowd, more),
        (f"and {more:,} failed ones", week_of_runs.fail, more),
    ]
    if TaskRun.objects.exists():
        steps = [("the tables that were kept", lambda _: None, 0)]
    failures: list[str] = []
    for number, (title, fill, runs) in enumerate(steps[: 1 if options.only_week else None]):
        began = time.perf_counter()
        fill(runs)
        print(f"\n=== {options.database}, {title} ({time.perf_counter() - began:.0f} s to fill)")
        failures += measure_pages(options.requests if number == 0 else options.requests // 4)
        failures += measure_commands()
    return failures


# Pages.


class Asked(NamedTuple):
    """What was asked of the database for one answer."""

    count: int
    seconds: float
    slowest: float
    given_up: int


@contextmanager
def watching() -> Iterator[Callable[[], Asked]]:
    """Count and time the statements on our tables."""
    from django.db import OperationalError, connection

    from taskworks.database.time_limit import is_time_limit

    times: list[float] = []
    given_up: list[str] = []

    def note(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        began = time.perf_counter()
        try:
            return execute(sql, parameters, many, context)
        except OperationalError as error:
            if is_time_limit(error):
                given_up.append(sql)
            raise
        finally:
            if OURS in sql and not sql.startswith("SET "):  # a limit of time
                times.append(time.perf_counter() - began)

    with connection.execute_wrapper(note):
        yield lambda: Asked(len(times), sum(times), max(times, default=0.0), len(given_up))


def measure_pages(requests: int) -> list[str]:
    """Print a line for each page and fragment; return those that are beyond their bounds."""
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.filter(username="root").first() or _root())
    print(f"{'page':<44}{'p50':>7}{'p95':>7}{'max':>7} ms  statements, slowest")
    failures: list[str] = []
    for name, address in pages().items():
        ask = partial(client.get, address)
        failures += _measured(ask, name, requests, MOST_STATEMENTS)
        if name in LIVE:
            ask = partial(client.get, address, headers={"HX-Request": "true"})
            failures += _measured(ask, f"{name}, its fragment", requests, MOST_OF_FRAGMENT)
    return failures


def _root() -> Any:
    from django.contrib.auth.models import User

    return User.objects.create_superuser("root")


def _measured(ask: Callable[[], Any], name: str, requests: int, most: int) -> list[str]:
    times, slowest, given_up = [], 0.0, 0
    for _ in range(requests):
        forget()
        with watching() as asked:
            began = time.perf_counter()
            response = ask()
            times.append(time.perf_counter() - began)
        assert response.status_code == 200, (name, response.status_code)
        slowest, given_up = max(slowest, asked().slowest), given_up + asked().given_up
    with watching() as again:  # when what pages share was read already
        ask()
    p50, p95 = _quantiles(times)
    print(
        f"{name:<44}{p50 * 1e3:7.0f}{p95 * 1e3:7.0f}{max(times) * 1e3:7.0f}"
        f"     {asked().count:3} ({again().count} shared), {slowest * 1e3:.0f} ms"
        f"{f', {given_up} GIVEN UP' if given_up else ''}"
    )
    return [
        *([f"{name}: p95 of {p95 * 1e3:.0f} ms"] if p95 > SLOWEST else []),
        *([f"{name}: {again().count} statements"] if again().count > most else []),
        *([f"{name}: {given_up} statements were given up"] if given_up else []),
    ]


def _quantiles(times: Sequence[float]) -> tuple[float, float]:
    if len(times) < 2:
        return times[0], times[0]
    cuts = quantiles(times, n=20, method="inclusive")
    return cuts[9], cuts[18]


def forget() -> None:
    """
    Have the next page read everything anew that it reads again each few seconds. What is read once
    a minute or less often is read by the first request alone.
    """
    from taskworks.dashboard.history import forget_history
    from taskworks.dashboard.queue_lines import forget_depths
    from taskworks.dashboard.runs.list_page import forget_counts
    from taskworks.dashboard.snapshot import forget_snapshot

    forget_snapshot()
    forget_depths()
    forget_counts()
    forget_history("1h")


LIVE = (
    "overview",
    "runs",
    "a successful run",
    "a run that waits",
    "failures",
    "queues",
    "workers",
    "schedules",
    "workflows",
    "limits",
)


def pages() -> dict[str, str]:
    """Return the addresses of all pages, and of many a list, by a name."""
    from django.urls import reverse
    from django.utils.http import urlencode

    from taskworks.dashboard.runs.list_page import ORDER
    from taskworks.models import RunState, TaskRun, Workflow

    def page(name: str, *ids: Any, **query: Any) -> str:
        address = reverse(f"taskworks_dashboard:{name}", args=ids)
        return f"{address}?{urlencode(query, doseq=True)}" if query else address

    def run_in(state: RunState) -> Any:
        return TaskRun.objects.filter(state=state).values_list("id", flat=True)[0]

    successful, failed, ready = map(run_in, (RunState.SUCCESSFUL, RunState.FAILED, RunState.READY))
    group = f"{1:016d}"
    return {
        "overview": page("overview"),
        "overview of 24 hours": page("overview", window="24h"),
        "overview of 7 days": page("overview", window="7d"),
        "runs": page("runs"),
        **{f"runs, {state.value}": page("runs", state=state.value) for state in ORDER},
        "runs that wait for a retry": page("runs", state="scheduled", attempts=1),
        "runs, an id": page("runs", id=failed),
        "runs of a queue": page("runs", queue="queue 1"),
        "runs of a task": page("runs", task="shop.tasks.task_7"),
        "runs of a task, failed": page("runs", task="shop.tasks.task_7", state="failed"),
        "runs of a task, successful": page("runs", task="shop.tasks.task_7", state="successful"),
        "runs of no task, successful": page("runs", task="shop.tasks.none", state="successful"),
        "runs of a worker": page("runs", worker="w3"),
        "runs of two hours": page("runs", since="2h"),
        "runs that took long": page("runs", took="2s", state="successful"),
        "runs with two attempts": page("runs", attempts="2"),
        "runs with an argument": page("runs", arg="customer=17"),
        "runs with no such argument": page("runs", arg="customer=none"),
        "runs, text in the error": page("runs", error="Error3"),
        "runs, no such text": page("runs", error="nothing like that"),
        "runs of a group": page("runs", group=group),
        "all that match": page("runs_matching", state="failed"),
        "a successful run": page("run", successful),
        "a failed run": page("run", failed),
        "a run that waits": page("run", ready),
        "steps of a run": page("run_steps", successful),
        "other runs of its task": page("run_strip", successful),
        "related runs": page("run_relatives", successful),
        "a run with changes": page("run_changed", failed),
        "failures": page("failures"),
        "a group of failures": page("failure_group", group),
        "queues": page("queues"),
        "clear a queue": page("clear_queue", queue="queue 1", backend="default"),
        "workers": page("workers"),
        "schedules": page("schedules"),
        "workflows": page("workflows"),
        "a workflow": page("workflow", Workflow.objects.values_list("id", flat=True)[0]),
        "limits": page("limits"),
        "new run": page("new_run"),
        "a form": page("new_run_of", "tests.tasks.noop"),
    }


# Commands.

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("list",),
    ("list", "--state", "failed"),
    ("list", "--state", "successful", "--task", "shop.tasks.task_7"),
    ("list", "--error", "Error3", "--since", "2h"),
    ("failures",),
    ("queues",),
    ("workers",),
)


def measure_commands() -> list[str]:
    """Print a line for each command; return those whose statements take too long."""
    from django.core.management import call_command

    print(f"{'command':<44}{'in all':>7}{'SQL':>7}       statements, slowest")
    failures = []
    for words in COMMANDS:
        with watching() as asked:
            began = time.perf_counter()
            call_command("taskworks", *words, stdout=io.StringIO(), stderr=io.StringIO())
            took = time.perf_counter() - began
        name = " ".join(words)
        print(
            f"{name:<44}{took * 1e3:7.0f}{asked().seconds * 1e3:7.0f}"
            f"            {asked().count:3}, {asked().slowest * 1e3:.0f} ms"
        )
        if asked().seconds > SLOWEST:
            failures.append(f"taskworks {name}: {asked().seconds * 1e3:.0f} ms of statements")
    return failures


if __name__ == "__main__":
    main()
