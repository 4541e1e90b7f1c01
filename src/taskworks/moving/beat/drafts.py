"""A schedule of beat as one of ours."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from taskworks.celery.names import task_named
from taskworks.celery.options import HIGHEST_PRIORITY, priority_of
from taskworks.discovery import is_task, resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.models.schedule import Schedule
from taskworks.moving.beat.entries import At, CannotImport, Crontab, Entry, Every
from taskworks.moving.beat.expressions import expression
from taskworks.timetables import callables

# What a message has and a run has not.
LOST = ("exchange", "routing_key", "headers")
TRANSLATED = ("queue", "priority", "expires")
OF_CELERY_ITSELF = {"celery.backend_cleanup": "RETENTION deletes results here"}
SHORTEST = timedelta(seconds=1)


class NotNeeded(Exception):  # noqa: N818 - like the other names of refusals
    """A schedule has nothing left to do; the text says why."""


def draft_of(entry: Entry, mapped: Mapping[str, str]) -> Schedule:
    """
    Return the schedule, not saved. ``mapped`` has paths of tasks by their old names. Raise
    CannotImport if there is none, NotNeeded if it would do nothing.
    """
    _refuse_what_is_over(entry)
    path = _path(entry, mapped)
    row = Schedule(
        label=entry.name,
        **_timing(entry),
        args=[*entry.args],
        kwargs=dict(entry.kwargs),
        options=_options(entry.options),
        enabled=entry.enabled,
        end_running=_stored(entry.end),
        iterations=1 if entry.one_off or isinstance(entry.timing, At) else 0,
        last_run=_stored(entry.last_run),
    )
    try:
        row.describe(path)
    except ValueError as error:
        raise CannotImport(f"The task {entry.task!r} cannot be scheduled: {error}") from error
    return row


def remarks(entry: Entry) -> list[str]:
    """Return sentences about what the schedule does not keep."""
    said = []
    lost = [name for name in entry.options if name in LOST]
    if lost:
        said.append(f"{entry.name}: {', '.join(lost)} is not kept, because there is no broker.")
    if others := [name for name in entry.options if name not in {*LOST, *TRANSLATED}]:
        said.append(f"{entry.name}: {', '.join(others)} of its options is not kept.")
    if isinstance(entry.timing, Every) and entry.timing.since is None:
        said.append(f"{entry.name}: its interval is counted from now.")
    return said


def _refuse_what_is_over(entry: Entry) -> None:
    if entry.task in OF_CELERY_ITSELF:
        raise NotNeeded(f"{OF_CELERY_ITSELF[entry.task]}.")
    if entry.one_off and entry.run_count:
        raise NotNeeded("It was to run once, and has run.")
    now = timezone.now()
    if isinstance(entry.timing, At) and entry.timing.moment < now:
        if not entry.enabled:
            raise NotNeeded("Its moment is over, and it is disabled.")
        raise CannotImport(
            f"Its moment, {entry.timing.moment}, is over, and it has not run. Beat would run it "
            "when it starts. Enqueue the task, or delete the schedule."
        )
    if entry.end is not None and entry.end < now:
        raise NotNeeded("Its end is over.")


def _path(entry: Entry, mapped: Mapping[str, str]) -> str:
    """Return the path of its task, which may have another name."""
    given = mapped.get(entry.task, entry.task)
    if (task := task_named(given)) is not None:
        return task.module_path
    try:
        _refuse_task_of_celery(given)
    except CannotImport:
        with suppress(TaskNotFound, InvalidTask):  # an app of ours may know it
            return resolve(given).module_path
        raise
    return given


def _refuse_task_of_celery(path: str) -> None:
    try:
        found = callables.find(callables.Described(callables.FUNCTION, path))
    except Exception as error:
        raise CannotImport(
            f"Its task {path!r} leads to nothing: {_reason(error)}. If it has another path now, "
            f"give --map {path}=NEW.PATH."
        ) from error
    if not is_task(found):
        raise CannotImport(
            f"{path!r} is not a task of Taskworks: it is of the type {type(found).__name__}. "
            "Import shared_task from taskworks.celery there."
        )


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error)).rstrip(".")


# When.


def _timing(entry: Entry) -> dict[str, Any]:
    match entry.timing:
        case Crontab() as crontab:
            return {
                "cron": expression(crontab),
                "timezone": crontab.timezone,
                "start_running": _stored(entry.start),
            }
        case Every() as every:
            return _of_interval(every, entry.start)
        case At(moment=moment):
            # It does not wait for a time of the expression, which has to be there.
            return {
                "cron": "* * * * *",
                "start_running": _stored(moment),
                "wait_for_schedule": False,
            }
        case other:
            raise CannotImport(
                f"A {other.text} has no counterpart here. Keep beat for it, or give the task a "
                "cron expression."
            )


def _of_interval(every: Every, start: datetime | None) -> dict[str, Any]:
    if every.interval < SHORTEST:
        raise CannotImport(
            f"Its interval is {every.interval.total_seconds():g} s, and the shortest is a second."
        )
    if start is not None and start > timezone.now():
        # Beat fires at the start, too.
        return {
            "interval": every.interval,
            "start_running": _stored(start),
            "wait_for_schedule": False,
        }
    return {"interval": every.interval, "start_running": _stored(every.since)}


def _stored(moment: datetime | None) -> datetime | None:
    """Return a moment as columns have it, aware or not."""
    if moment is None or timezone.is_aware(moment) == timezone.is_aware(timezone.now()):
        return moment
    if timezone.is_aware(moment):
        return timezone.make_naive(moment)
    return moment.replace(tzinfo=UTC)


# Its runs.


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if queue := given.get("queue"):
        options["queue_name"] = str(queue)
    if (priority := given.get("priority")) is not None:
        highest = min(priority, HIGHEST_PRIORITY) if isinstance(priority, int) else priority
        try:
            options["priority"] = priority_of(highest, "of the schedule")
        except ValueError as error:
            raise CannotImport(str(error)) from error
    if (expires := given.get("expires")) is not None:
        options["expires"] = float(expires)
    return options
