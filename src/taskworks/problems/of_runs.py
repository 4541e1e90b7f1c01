"""Runs that fail."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils.translation import gettext_noop as _

from taskworks.database.clock import DatabaseClock
from taskworks.execution.judgement import MAX_CRASHES
from taskworks.models import RunState
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.sentences import Sentence, counted, sentence
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
            _named(path),
            sentence(
                _(
                    "%(failed)s of the %(ended)s runs of %(task)s that ended in the last "
                    "%(minutes)s minutes have failed (%(share)s)."
                ),
                failed=failed,
                ended=ended,
                task=path,
                minutes=minutes,
                share=f"{failed / ended:.0%}",
            ),
            sentence(_("See why: %(command)s"), command="manage.py taskworks failures"),
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
        yield Problem(
            "poison",
            Severity.WARNING,
            _named(path),
            counted(
                len(runs),
                _(
                    "%(number)s run of %(task)s failed in the last 24 hours after killing the "
                    "process %(times)s times each; the latest is %(run)s."
                ),
                _(
                    "%(number)s runs of %(task)s failed in the last 24 hours after killing the "
                    "process %(times)s times each; the latest is %(run)s."
                ),
                task=path,
                times=MAX_CRASHES,
                run=runs[0],
            ),
            sentence(
                _("See how it died: %(command)s"), command=f"manage.py taskworks show {runs[0]}"
            ),
        )


def _named(path: str) -> Sentence:
    return sentence(_("the task %(path)s"), path=path)
