"""Schedules that do not fire."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils.translation import gettext_noop as _

from taskworks.logs import visible
from taskworks.models import Schedule
from taskworks.models.planning import not_planned
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.sentences import Sentence, joined, sentence

LATE = timedelta(minutes=1)
MAX_TOLD = 10  # schedules


def schedule_late(situation: Situation) -> Iterator[Problem]:
    """Find schedules that should have fired a while ago."""
    due = situation.store.schedules.enabled().filter(due_at__lt=situation.now - LATE)
    for schedule in due.order_by("due_at")[:MAX_TOLD]:
        yield Problem(
            "schedule_late",
            Severity.CRITICAL,
            _about(schedule),
            _late(situation, schedule),
            sentence(
                _(
                    "Start a worker: every worker fires schedules, of whatever queue. If one "
                    "lives, see its log."
                )
            ),
        )


def _late(situation: Situation, schedule: Schedule) -> Sentence:
    nobody = "" if situation.living else sentence(_("No worker lives."))
    return joined(_lateness(situation, schedule), nobody)


def _lateness(situation: Situation, schedule: Schedule) -> Sentence:
    name = repr(visible(schedule.label))
    if schedule.due_at <= not_planned():
        return sentence(
            _("The schedule %(name)s is enabled, and no worker has planned it."), name=name
        )
    late = situation.now - schedule.due_at
    return sentence(_("The schedule %(name)s is %(late)s late."), name=name, late=late)


def _about(schedule: Schedule) -> Sentence:
    return sentence(_("the schedule %(name)s"), name=repr(visible(schedule.label)))


def schedule_unable(situation: Situation) -> Iterator[Problem]:
    """Find schedules that could not fire when they were last due."""
    unable = situation.store.schedules.enabled().unable()
    for schedule in unable.order_by("label")[:MAX_TOLD]:
        yield Problem(
            "schedule_unable",
            Severity.CRITICAL,
            _about(schedule),
            sentence(
                _("The schedule %(name)s cannot fire: %(error)s"),
                name=repr(visible(schedule.label)),
                error=visible(schedule.error),
            ),
            sentence(
                _("Deploy the code that it calls, or disable it: %(command)s"),
                command=f"manage.py taskworks schedules {visible(schedule.label)!r} --disable",
            ),
        )
