"""Enable, disable and run a schedule for a person; each action returns what it has done."""

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured, ValidationError

from taskworks.exceptions import TaskException
from taskworks.models import planning
from taskworks.models.schedule import Schedule
from taskworks.models.schedule_validation import in_a_sentence
from taskworks.schedules import sync
from taskworks.schedules.firing import fire_now

# What its code, its options or its backend raise if a schedule cannot run.
CANNOT_RUN = (TaskException, ImproperlyConfigured, ImportError, TypeError, ValueError)


class NotApplicable(Exception):  # noqa: N818 - an answer, not an error
    """Nothing was done; the text says why."""


def enable(schedule: Schedule) -> str:
    """Enable it; raise NotApplicable if it would never fire."""
    if schedule.enabled:
        return "already enabled"
    schedule.enabled = True
    try:
        schedule.save()
    except ValidationError as error:
        raise NotApplicable(in_a_sentence(error)) from error
    return "enabled"


def disable(schedule: Schedule) -> str:
    """Disable it; its runs continue."""
    if not schedule.enabled:
        return "already disabled"
    schedule.enabled = False
    schedule.save()
    return "disabled"


def run_now(schedule: Schedule) -> str:
    """Run it once now, enabled or not; its next run stays as planned."""
    try:
        return f"enqueued as run {fire_now(schedule).id}"
    except CANNOT_RUN as error:
        raise NotApplicable(str(error)) from error


def state(schedule: Schedule) -> str:
    """Return whether it fires, and if not, why, in words."""
    if sync.is_withdrawn(schedule) and not schedule.enabled:
        return "disabled: not declared in code any more"
    if schedule.finished_at:
        return "finished"
    if not schedule.enabled:
        return "disabled"
    return f"cannot fire: {schedule.error}" if schedule.error else "enabled"


def changed(schedule: Schedule) -> Iterable[str]:
    """Yield a sentence for each column that a person has changed from what code declares."""
    for name, value in sync.changes(schedule).items():
        yield f"{name} is {getattr(schedule, name)!r}; code declares {value!r}"


def when(schedule: Schedule) -> str:
    """Return its timing as it is written, and how often it runs in all."""
    written = schedule.cron or f"every {schedule.interval}"
    match schedule.iterations:
        case 0:
            return written
        case 1:
            return f"once, by {written}" if schedule.wait_for_schedule else _once(schedule)
        case number:
            return f"{written}, {number} times"


def _once(schedule: Schedule) -> str:
    return _or_reason(lambda: planning.once(schedule))


def in_words(schedule: Schedule) -> str:
    """Return its timing in a sentence, or why it is not valid."""
    return _or_reason(schedule.in_words)


def _or_reason(say: Any) -> str:
    try:
        return str(say())
    except ValueError as error:
        return str(error)
