"""Sentry's monitors of schedules: a check-in when a run begins, and one when it has ended."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils.text import slugify
from sentry_sdk.crons import capture_checkin

from taskworks.conf import nearest
from taskworks.instruments import EnqueuedRuns, ExecutedAttempt
from taskworks.reserved_metadata import made_by

KEY = "monitor"  # of what a run carries: the slug and the configuration of its monitor, as JSON
MAX_SLUG = 50  # characters that Sentry allows

OPTIONS = (
    "slug",
    "checkin_margin",
    "max_runtime",
    "failure_issue_threshold",
    "recovery_threshold",
    "owner",
)
UNITS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}
FIELDS_OF_CRON = 5
ONLY_OURS = re.compile("#|(?<![A-Za-z])(?:LW|L|l)(?![A-Za-z])")  # MON#1, 5L, but not JUL
NAMES_OF_CRON = {"@midnight": "@daily"}  # that Sentry does not know

OK, ERROR, IN_PROGRESS = "ok", "error", "in_progress"
STATUSES = {"successful": OK, "failed": ERROR, "lost": ERROR, "cancelled": ERROR}


class Monitors:
    """The monitored schedules, by their labels, with options of Sentry's."""

    def __init__(self, given: Mapping[str, Mapping[str, Any]] | Iterable[str]) -> None:
        if isinstance(given, str):
            given = [given]
        by_label = given if isinstance(given, Mapping) else {label: {} for label in given}
        for label, options in by_label.items():
            _refuse_unknown(label, options)
        self._options = {label: {**options} for label, options in by_label.items()}

    def carried(self, runs: EnqueuedRuns) -> dict[str, str]:
        """Return what runs of a monitored schedule carry; nothing for others."""
        schedule = made_by(runs.metadata)
        if schedule is None or schedule.label not in self._options:
            return {}
        options = {**self._options[schedule.label]}
        slug = options.pop("slug", None) or slugify(schedule.label)[:MAX_SLUG]
        timing = _timing_of(schedule.id, runs.backend)
        return {KEY: json.dumps([slug, {**timing, **options} if timing else None])}

    def begin(self, attempt: ExecutedAttempt, carried: Mapping[str, str]) -> None:
        """Check in that the run is in progress; again with each attempt, which extends its time."""
        _check_in(attempt, carried, IN_PROGRESS)

    def end(self, attempt: ExecutedAttempt, carried: Mapping[str, str]) -> None:
        """Check in how the run has ended, if it has."""
        if status := STATUSES.get(attempt.outcome or ""):
            _check_in(attempt, carried, status)


def _refuse_unknown(label: str, options: Mapping[str, Any]) -> None:
    for name in options:
        if name not in OPTIONS:
            raise ValueError(
                f"The monitor of the schedule {label!r} has no option {name!r}."
                f"{nearest(name, [*OPTIONS])}"
            )


def _check_in(attempt: ExecutedAttempt, carried: Mapping[str, str], status: str) -> None:
    monitor = _monitor_in(carried)
    if monitor is None:
        return
    slug, config = monitor
    capture_checkin(
        monitor_slug=slug,
        # The same in each process that has an attempt.
        check_in_id=UUID(attempt.run_id).hex,
        status=status,
        duration=None if status == IN_PROGRESS else _duration(attempt),
        monitor_config=config,
    )


def _monitor_in(carried: Mapping[str, str]) -> tuple[str, Any] | None:
    """Return the slug and the configuration; None if there are none, or nonsense."""
    try:
        match json.loads(carried.get(KEY, "null")):
            case [str(slug), None | dict() as config]:
                return slug, config
    except ValueError:
        pass
    return None


def _duration(attempt: ExecutedAttempt) -> float | None:
    """Return the seconds that the run took, if this was its only attempt."""
    if attempt.number > 1 or attempt.began_at is None or attempt.ended_at is None:
        return None
    return attempt.ended_at - attempt.began_at


def _timing_of(schedule_id: int, backend: str) -> dict[str, Any] | None:
    """Return when Sentry is to expect check-ins; None for what it cannot express."""
    from taskworks.models import Schedule
    from taskworks.store import alias_for

    rows = Schedule.objects.using(alias_for(backend)).filter(id=schedule_id)
    cron, interval, timezone = rows.values_list("cron", "interval", "timezone").get()
    schedule = _crontab(cron) if cron else _interval(interval)
    return schedule and {"schedule": schedule, "timezone": timezone}


def _crontab(cron: str) -> dict[str, Any] | None:
    expression = NAMES_OF_CRON.get(cron.strip(), cron.strip())
    is_name = expression.startswith("@")
    has_fields = len(expression.split()) == FIELDS_OF_CRON
    is_standard = has_fields and not ONLY_OURS.search(expression)
    return {"type": "crontab", "value": expression} if is_name or is_standard else None


def _interval(interval: timedelta | None) -> dict[str, Any] | None:
    for unit, length in UNITS.items():
        if interval and not interval % length:
            return {"type": "interval", "value": interval // length, "unit": unit}
    return None
