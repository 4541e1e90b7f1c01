"""sisy's functions. ``taskworks.schedules`` exports them."""

from typing import Any

from taskworks.backends.shards import first_in_each
from taskworks.models.schedule import Schedule
from taskworks.store import store_alias


def task_with_callable(
    the_callable: Any,
    label: str | None = None,
    schedule: Any = None,
    userdata: dict[str, Any] | None = None,
    pk_override: Any = None,
    **more: Any,
) -> Schedule:
    """
    Return a schedule of a task, of a callable that takes one message, or of the dotted path of
    either. It is not stored until you ``save()`` it.

    ``label`` defaults to the callable's path and a short id. ``schedule`` is a cron expression of
    five fields, or six with the seconds last, or an interval; it defaults to
    ``SISY_DEFAULT_SCHEDULE``. ``pk_override`` is the primary key of the instance for the path of a
    model's method. ``more`` are other columns of a Schedule, and ``allow_overlap``.

    Raise ValueError for a callable or userdata that cannot be stored, TypeError for an argument
    that a schedule does not have; ``save()`` refuses all other bad input.
    """
    return Schedule.with_callable(the_callable, label, schedule, userdata, pk_override, **more)


def taskinfo_with_label(label: str) -> dict[str, Any]:
    """
    Return what is stored of the callable of the schedule with this label, under sisy's keys; of
    several databases, the first that has one. Raise Schedule.DoesNotExist if none has.
    """
    rows = Schedule.objects.filter(label=label)
    schedule = first_in_each(lambda: rows.using(store_alias()).first())
    if schedule is None:
        raise Schedule.DoesNotExist(f"There is no schedule {label!r}.")
    return schedule.funcinfo
