"""Runs that fail."""

from collections.abc import Iterator
from datetime import timedelta

from taskworks.database.clock import DatabaseClock
from taskworks.execution.judgement import MAX_CRASHES
from taskworks.models import RunState
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.statistics.forecast import LATELY

FAILING = 0.05  # the share of failures from which on it is a problem
FEW = 20  # ended runs, of which no share is told
MAX_TOLD = 10  # tasks
OF_POISON = timedelta(days=1)
MAX_LOOKED_AT = 2000  # failed runs


def failing_task(situation: Situation) -> Iterator[Problem]:
    """Find tasks of whose runs many have failed lately."""
    by_task: dict[str, tuple[int, int]] = {}
    for key, counts in situation.counts.items():
        failed, ended = by_task.get(key.task_path, (0, 0))
        by_task[key.task_path] = failed + counts.failed, ended + counts.failed + counts.successful
    failing = [
        (failed, ended, path)
        for path, (failed, ended) in by_task.items()
        if ended >= FEW and failed / ended > FAILING
    ]
    minutes = int(LATELY.total_seconds() // 60)
    for failed, ended, path in sorted(failing, reverse=True)[:MAX_TOLD]:
        yield Problem(
            "failing_task",
            Severity.WARNING,
            f"the task {path}",
            f"{failed:,} of the {ended:,} runs of {path} that ended in the last {minutes} minutes "
            f"have failed ({failed / ended:.0%}).",
            "See why: manage.py taskworks failures",
        )


def poison(situation: Situation) -> Iterator[Problem]:
    """Find runs that have killed their process again and again."""
    latest = situation.store.runs.filter(
        state=RunState.FAILED, finished_at__gte=DatabaseClock(-OF_POISON)
    ).order_by("-finished_at", "-id")
    rows = latest.values_list("id", "task_path", "crashes")[:MAX_LOOKED_AT]
    poisonous = [(str(run), path) for run, path, crashes in rows if crashes >= MAX_CRASHES]
    by_task: dict[str, list[str]] = {}
    for run, path in poisonous:
        by_task.setdefault(path, []).append(run)
    for path, runs in [*by_task.items()][:MAX_TOLD]:
        number = f"{len(runs):,} run{'' if len(runs) == 1 else 's'}"
        yield Problem(
            "poison",
            Severity.WARNING,
            f"the task {path}",
            f"{number} of {path} failed in the last 24 hours after killing the process "
            f"{MAX_CRASHES} times each; the latest is {runs[0]}.",
            f"See how it died: manage.py taskworks show {runs[0]}",
        )
