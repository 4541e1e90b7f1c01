"""Validation of a schedule: other ways to write a value, and what could never run."""

import inspect
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.timezone import is_naive

from taskworks import jsonvalue
from taskworks.conf import nearest
from taskworks.database import clock
from taskworks.exceptions import InvalidInputs, InvalidTask, InvalidTaskBackend, TaskNotFound
from taskworks.models import planning
from taskworks.models.planning import FAR_FUTURE, HAS_NOT_RUN, TIMING
from taskworks.options.policy import OPTIONS
from taskworks.options.stored import from_stored, to_stored
from taskworks.timetables import callables
from taskworks.timetables.timetable import InvalidTimetable, zone_of

if TYPE_CHECKING:
    from taskworks.models.schedule import Schedule

STANDARD_OPTIONS = ("priority", "queue_name", "backend")

# Columns that decide what is called, and how.
CALL = {"kind", "path", "object_pk", "args", "kwargs", "options"}
JSON = {"args": list, "kwargs": dict, "userdata": dict, "options": dict}


def normalise(schedule: "Schedule") -> None:
    """Put values that may be written in several ways into the one that is stored."""
    for name in ("interval", "jitter"):
        setattr(schedule, name, _as_duration(name, getattr(schedule, name)))
    schedule.jitter = timedelta() if schedule.jitter is None else schedule.jitter
    schedule.cron = "" if schedule.cron is None else str(schedule.cron).strip()
    schedule.object_pk = schedule.object_pk or None
    if schedule.start_running == HAS_NOT_RUN:
        schedule.start_running = None
    if schedule.end_running == FAR_FUTURE:
        schedule.end_running = None


def refuse(schedule: "Schedule", changed: set[str]) -> None:
    """Raise ValidationError, by field, for changed columns with which it could never run."""
    checks: list[tuple[Collection[str], Callable[[Schedule], None]]] = [
        (("label",), _clean_label),
        (JSON, _clean_json),
        (CALL, _clean_call),
        (TIMING, _clean_timing),
        (("jitter",), _clean_jitter),
    ]
    errors: dict[str, list[Any]] = {}
    for names, check in checks:
        if not changed & {*names}:
            continue
        try:
            check(schedule)
        except ValidationError as error:
            error.update_error_dict(errors)
    if errors:
        raise ValidationError(errors)


def _clean_label(schedule: "Schedule") -> None:
    if "\0" in str(schedule.label):  # as forms do: some databases cannot store it
        raise refusal("label", f"It must not have NUL characters: {schedule.label!r}.")


def _clean_json(schedule: "Schedule") -> None:
    for name, kind in JSON.items():
        value = getattr(schedule, name)
        if isinstance(value, tuple):
            value = list(value)
        if not isinstance(value, kind):
            word = "list" if kind is list else "dictionary"
            raise refusal(name, f"It must be a {word} of JSON values, not {value!r}.")
        if name == "options":
            continue
        try:
            setattr(schedule, name, jsonvalue.round_trip(value, name))
        except (TypeError, ValueError) as error:
            raise refusal(name, str(error)) from error


def _clean_call(schedule: "Schedule") -> None:
    _clean_callable(schedule)
    _clean_options(schedule)
    if not schedule.is_task and (schedule.args or schedule.kwargs):
        raise refusal(
            "args",
            f"{schedule.path!r} is not a task: it gets one argument, the message, and no others. "
            "Put them into userdata.",
        )
    if schedule.is_task:
        _clean_arguments(schedule)


def _clean_callable(schedule: "Schedule") -> None:
    if schedule.described == schedule.__dict__.get("_trusted"):
        return
    try:
        described = callables.describe(schedule.path, schedule.object_pk)
    except ValueError as error:
        raise refusal("path", str(error)) from error
    if described.kind != schedule.kind:
        raise refusal("kind", f"{schedule.path!r} is a {described.kind}, not a {schedule.kind}.")
    schedule.object_pk = described.object_pk


def _clean_options(schedule: "Schedule") -> None:
    if not isinstance(schedule.options, dict):
        raise refusal("options", f"It must be a dictionary, not {schedule.options!r}.")
    known = (*STANDARD_OPTIONS, *OPTIONS, "metadata")
    for name in schedule.options:
        if name not in known:
            close = nearest(str(name), [*known])
            raise refusal("options", f"A run has no option {name!r}.{close}")
    try:
        schedule.options = _as_json(schedule.options)
        task = schedule.task
        task.get_backend().validate_task(task)
    except (InvalidTask, InvalidTaskBackend, ImportError, TypeError, ValueError) as error:
        raise refusal("options", str(error)) from error
    except TaskNotFound as error:
        raise refusal("path", str(error)) from error


def _clean_arguments(schedule: "Schedule") -> None:
    task = schedule.task
    context = [object()] if task.takes_context else []
    try:
        inspect.signature(task.func).bind(*context, *schedule.args, **schedule.kwargs)
    except TypeError as error:
        raise refusal(
            "args", f"{schedule.path!r} does not take these arguments: {error}."
        ) from error
    _clean_inputs(schedule, task)


def _clean_inputs(schedule: "Schedule", task: Any) -> None:
    """Refuse bad inputs of a typed task, unless one is read from the database: checks must not."""
    if task.typed is None or any(one.reads_database for one in task.typed.inputs.values()):
        return
    try:
        task.typed.encoded(schedule.args, schedule.kwargs)
    except (InvalidInputs, TypeError) as error:
        raise refusal("kwargs", f"{schedule.path!r} does not take these inputs: {error}") from error


def _clean_timing(schedule: "Schedule") -> None:
    _clean_zone(schedule)
    if bool(schedule.cron) == (schedule.interval is not None):
        have = "both are given" if schedule.cron else "neither is given"
        raise refusal("cron", f"Give either a cron expression or an interval: {have}.")
    try:
        planning.timetable_of(schedule).in_words()
    except InvalidTimetable as error:
        raise refusal("cron" if schedule.cron else "interval", str(error)) from error
    start, end = _clean_moment(schedule, "start_running"), _clean_moment(schedule, "end_running")
    if start and end and end <= start:
        raise refusal("end_running", f"The end, {end}, must be after the start, {start}.")


def _clean_zone(schedule: "Schedule") -> None:
    try:
        zone_of(schedule.timezone)
    except InvalidTimetable as error:
        raise refusal("timezone", str(error)) from error


def _clean_moment(schedule: "Schedule", name: str) -> datetime | None:
    moment = getattr(schedule, name)
    if moment is not None and not isinstance(moment, datetime):
        raise refusal(name, f"It must be a datetime, not {moment!r}.")
    if moment is not None and is_naive(moment) == settings.USE_TZ:
        raise refusal(name, f"{moment} must {'' if settings.USE_TZ else 'not '}have a time zone.")
    return moment


def _clean_jitter(schedule: "Schedule") -> None:
    if not isinstance(schedule.jitter, timedelta) or schedule.jitter < timedelta():
        raise refusal("jitter", f"It must be a timedelta of 0 or more, not {schedule.jitter!r}.")


def _as_duration(name: str, given: Any) -> Any:
    match given:
        case timedelta() | str() | None:
            return given
        case int() | float() if not isinstance(given, bool):
            with suppress(OverflowError, ValueError):
                return timedelta(seconds=given)
    raise refusal(name, f"It must be seconds or a timedelta, not {given!r}.")


def refuse_in_vain(schedule: "Schedule", now: datetime) -> None:
    """Raise ValidationError for an enabled schedule that would not fire even once."""
    if not schedule.enabled:
        return
    if planning.is_used_up(schedule):
        raise refusal(
            "iterations",
            f"It has fired as often as it may ({schedule.fired}): raise its iterations, or make "
            "them 0.",
        )
    if planning.first_run(schedule, clock.as_aware(now)) is None:
        raise _never(schedule)


def _never(schedule: "Schedule") -> ValidationError:
    """Return why there is no planned time at all."""
    if schedule.end_running:
        return refusal("end_running", "There is no planned time before its end.")
    start = "start_running" if schedule.start_running else None
    name = start or ("cron" if schedule.cron else "interval")
    return refusal(name, "There is no planned time before the end of the calendar.")


def refusal(name: str, sentence: str) -> ValidationError:
    """Return the error that is shown beside the field of this name."""
    return ValidationError({name: ValidationError("%(sentence)s", params={"sentence": sentence})})


def in_a_sentence(error: ValidationError) -> str:
    """Return the errors by field, in one line."""
    return "; ".join(
        f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items()
    )


def _as_json(options: dict[str, Any]) -> dict[str, Any]:
    ours = {name: value for name, value in options.items() if name in OPTIONS}
    others = {name: value for name, value in options.items() if name not in OPTIONS}
    return {**jsonvalue.round_trip(others, "options"), **to_stored(from_stored(ours))}


def as_options(stored: dict[str, Any]) -> dict[str, Any]:
    """Return stored options as ``using()`` takes them."""
    ours = {name: value for name, value in stored.items() if name in OPTIONS}
    others = {name: value for name, value in stored.items() if name not in OPTIONS}
    return {**others, **from_stored(ours)}
