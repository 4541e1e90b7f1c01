"""Enable, disable and run a schedule for a person, and say what came of it."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError

from taskworks.exceptions import TaskException
from taskworks.models.schedule import Schedule
from taskworks.models.schedule_validation import in_a_sentence
from taskworks.schedules import sync
from taskworks.schedules.firing import fire_now

# What keeps a schedule from running: its code, its options or its backend.
NOT_RUN = (TaskException, ImproperlyConfigured, ImportError, TypeError, ValueError)


class NotApplicable(Exception):  # noqa: N818 - an answer, in a sentence
    """Why nothing was done."""


def enable(schedule: Schedule) -> str:
    """Let it fire again, from now on; raise NotApplicable if it never would."""
    if schedule.enabled:
        return "was enabled before"
    schedule.enabled = True
    try:
        schedule.save()
    except ValidationError as error:
        raise NotApplicable(in_a_sentence(error)) from error
    return "enabled"


def disable(schedule: Schedule) -> str:
    """Let it fire no more; its runs under way go on."""
    if not schedule.enabled:
        return "was disabled before"
    schedule.enabled = False
    schedule.save()
    return "disabled"


def run_now(schedule: Schedule) -> str:
    """Run it once, at once, whether it is enabled or not; its next time stays."""
    try:
        return f"enqueued as run {fire_now(schedule).id}"
    except NOT_RUN as error:
        raise NotApplicable(str(error)) from error


def state(schedule: Schedule) -> str:
    """In words: whether it fires, and if not, why."""
    if sync.is_withdrawn(schedule) and not schedule.enabled:
        return "disabled: no code declares it any more"
    if schedule.finished_at:
        return "finished"
    if not schedule.enabled:
        return "disabled"
    return f"cannot fire: {schedule.error}" if schedule.error else "enabled"


def changed(schedule: Schedule) -> Iterable[str]:
    """What a person has changed of what code declares, a sentence a column."""
    for name, value in sync.changes(schedule).items():
        yield f"{name} is {getattr(schedule, name)!r}; code declares {value!r}"


def when(schedule: Schedule) -> str:
    """Its timing, as it is written."""
    return schedule.cron or f"every {schedule.interval}"


def in_words(schedule: Schedule) -> str:
    """Its timing in a sentence, or why it has none."""
    return _or_reason(schedule.in_words)


def _or_reason(say: Any) -> str:
    try:
        return str(say())
    except ValueError as error:
        return str(error)
