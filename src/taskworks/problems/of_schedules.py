"""Schedules that do not fire."""

from collections.abc import Iterator
from datetime import timedelta

from taskworks.durations import in_words
from taskworks.logs import visible
from taskworks.models import Schedule
from taskworks.models.planning import not_planned
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation

LATE = timedelta(minutes=1)
MAX_TOLD = 10  # schedules


def schedule_late(situation: Situation) -> Iterator[Problem]:
    """Find schedules that should have fired a while ago."""
    due = situation.store.schedules.enabled().filter(due_at__lt=situation.now - LATE)
    for schedule in due.order_by("due_at")[:MAX_TOLD]:
        yield Problem(
            "schedule_late",
            Severity.CRITICAL,
            f"the schedule {visible(schedule.label)!r}",
            _late(situation, schedule),
            "Start a worker: every worker fires schedules, of whatever queue. If one lives, see "
            "its log.",
        )


def _late(situation: Situation, schedule: Schedule) -> str:
    name = f"The schedule {visible(schedule.label)!r}"
    nobody = "" if situation.living else " No worker lives."
    if schedule.due_at <= not_planned():
        return f"{name} is enabled, and no worker has planned it.{nobody}"
    return f"{name} is {in_words(situation.now - schedule.due_at)} late.{nobody}"


def schedule_unable(situation: Situation) -> Iterator[Problem]:
    """Find schedules that could not fire when they were last due."""
    unable = situation.store.schedules.enabled().unable()
    for schedule in unable.order_by("label")[:MAX_TOLD]:
        yield Problem(
            "schedule_unable",
            Severity.CRITICAL,
            f"the schedule {visible(schedule.label)!r}",
            f"The schedule {visible(schedule.label)!r} cannot fire: {visible(schedule.error)}",
            "Deploy the code that it calls, or disable it: manage.py taskworks schedules "
            f"{visible(schedule.label)!r} --disable",
        )
