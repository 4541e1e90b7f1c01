"""
``@cron`` and ``@every`` above ``@task``: the schedules that code declares.

They are only collected here, because modules of tasks are imported before the tables are ready.
``sync`` makes rows of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings

from taskworks.conf import close_to
from taskworks.discovery import is_task, task_of
from taskworks.exceptions import InvalidTask
from taskworks.options.policy import OPTIONS
from taskworks.options.stored import to_stored
from taskworks.timetables import arguments
from taskworks.timetables.cron import Cron
from taskworks.timetables.interval import Interval
from taskworks.timetables.timetable import InvalidTimetable, zone_of

AnyTask = TypeVar("AnyTask")
UNITS = ("weeks", "days", "hours", "minutes", "seconds")


@dataclass(frozen=True, slots=True)
class Declaration:
    """A schedule as code declares it; ``columns`` are its other columns."""

    label: str
    task: Any
    columns: dict[str, Any] = field(hash=False)


# Declarations by their labels.
declarations: dict[str, Declaration] = {}
# Why some were refused, by the paths of their tasks: whatever imports them may hide the error.
refused: dict[str, str] = {}


def cron(
    expression: str, *, label: str | None = None, **given: Any
) -> Callable[[AnyTask], AnyTask]:
    """
    Above ``@task``: run it by a cron expression of five fields, or six with the second last.

    ``label`` defaults to the task's path. ``given`` are other columns of a Schedule,
    ``allow_overlap``, and options of ``task.using()``. Raise ValueError or TypeError for bad
    arguments.
    """
    return _declaring(lambda: _of_cron(expression), label, given, ("label",))


def every(
    interval: timedelta | float | None = None, *, label: str | None = None, **given: Any
) -> Callable[[AnyTask], AnyTask]:
    """
    Above ``@task``: run it at an interval, ``@every(minutes=5)``, in weeks, days, hours, minutes
    and seconds, or as a timedelta or a number of seconds. For all else see ``cron``.
    """
    units = {name: given.pop(name) for name in UNITS if name in given}
    return _declaring(
        lambda: {"cron": "", "interval": _interval(interval, units)},
        label,
        given,
        ("label", "interval", *UNITS),
    )


def _declaring(
    timing: Callable[[], dict[str, Any]],
    label: str | None,
    given: dict[str, Any],
    own: Sequence[str],
) -> Callable[[AnyTask], AnyTask]:
    """Return the decorator; ``own`` are names that it takes besides columns and options."""

    def declare(task: AnyTask) -> AnyTask:
        try:
            _refuse_unknown(task, given, own)
            _declare(task, timing, label, given)
        except (InvalidTask, TypeError, ValueError) as error:
            raise _refusal(task, error) from error
        return task

    return declare


def _refuse_unknown(task: Any, given: dict[str, Any], own: Sequence[str]) -> None:
    """Raise TypeError for a name that neither the schedule nor its task has."""
    task = task_of(task)
    if not is_task(task):
        return  # which is refused next
    of_schedule = [*own, *arguments.NAMES]
    of_task = [field.name for field in fields(task) if field.name not in {"func", "takes_context"}]
    for name in given:
        if name in of_schedule or name in of_task:
            continue
        hint = close_to(name, [*of_schedule, *of_task]) or (
            f" A schedule has {', '.join(sorted(of_schedule))}. "
            f"A task has {', '.join(sorted(of_task))}."
        )
        raise TypeError(f"neither a schedule nor its task has an option {name!r}.{hint}")


def _declare(
    task: Any, timing: Callable[[], dict[str, Any]], label: str | None, given: dict[str, Any]
) -> None:
    task = task_of(task)
    if not is_task(task):
        raise TypeError(
            f"a declared schedule runs a task, and {task!r} is not one. Put @task below @cron or "
            "@every."
        )
    columns = {**_columns(task, given), **timing()}
    _validate_timing(columns)
    declaration = Declaration(task.module_path if label is None else label, task, columns)
    _refuse_twice(declaration)
    declarations[declaration.label] = declaration
    refused.pop(task.module_path, None)


def _columns(task: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what is given as columns; what is not the name of one is an option of the task."""
    columns = arguments.columns({n: given[n] for n in given if n in arguments.NAMES})
    more = {name: value for name, value in given.items() if name not in arguments.NAMES}
    options = {**columns.get("options", {}), **more}
    if options:
        task.using(**options)
        others = {name: value for name, value in options.items() if name not in OPTIONS}
        ours = {name: value for name, value in options.items() if name in OPTIONS}
        columns["options"] = {**others, **to_stored(ours)}
    return columns


def _of_cron(expression: Any) -> dict[str, Any]:
    if not isinstance(expression, str) or not expression.strip():
        raise InvalidTimetable(f"A cron expression must be a string, not {expression!r}.")
    return {"cron": expression, "interval": None}


def _interval(interval: Any, units: dict[str, Any]) -> timedelta:
    if (interval is None) == (not units):
        raise ValueError(
            "@every takes either an interval, @every(timedelta(minutes=5)), or units of it, "
            "@every(minutes=5)."
        )
    try:
        return arguments.duration("an interval", timedelta(**units) if units else interval)
    except (OverflowError, TypeError):
        raise ValueError(f"{units!r} is not an interval.") from None


def _validate_timing(columns: dict[str, Any]) -> None:
    timezone = columns.get("timezone", settings.TIME_ZONE)
    if columns["interval"] is None:
        Cron(columns["cron"], timezone)
    else:
        Interval(columns["interval"], arguments.SOME_TIME)
        zone_of(timezone)


def _refuse_twice(declaration: Declaration) -> None:
    """Refuse a label of another task; a module that is imported again has other task objects."""
    other = declarations.get(declaration.label)
    if other is None or (
        other.task is not declaration.task
        and other.task.module_path == declaration.task.module_path
    ):
        return
    raise ValueError(
        f"the label {declaration.label!r} is that of another declared schedule, of "
        f"{other.task.module_path}. Give one of them a label=... of its own."
    )


def _refusal(task: Any, error: Exception) -> Exception:
    path = getattr(task, "module_path", repr(task))
    reason = f"The schedule of {path} cannot be declared: {error}"
    refused[path] = reason
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(reason)
