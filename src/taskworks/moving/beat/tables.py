"""
The tables of django-celery-beat, which need not be installed any more. Columns that an older
version does not have are left out.
"""

import json
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.apps.registry import Apps
from django.db import connections, models
from django.utils import timezone

from taskworks.moving.beat.entries import FIELDS, At, CannotImport, Crontab, Entry, Every, Other

PREFIX = "django_celery_beat_"
OPTIONS = ("queue", "exchange", "routing_key", "headers", "priority")


class _Table(models.Model):
    class Meta:
        abstract = True
        app_label = "taskworks"
        apps = Apps()  # not the project's, which may have the package's own


class _Task(_Table):  # noqa: DJ008
    name = models.TextField()
    task = models.TextField()
    crontab_id = models.IntegerField(null=True)
    interval_id = models.IntegerField(null=True)
    clocked_id = models.IntegerField(null=True)
    solar_id = models.IntegerField(null=True)
    args = models.TextField()
    kwargs = models.TextField()
    queue = models.TextField(null=True)  # noqa: DJ001 - as the package has it
    exchange = models.TextField(null=True)  # noqa: DJ001
    routing_key = models.TextField(null=True)  # noqa: DJ001
    headers = models.TextField(null=True)  # noqa: DJ001
    priority = models.IntegerField(null=True)
    expires = models.DateTimeField(null=True)
    expire_seconds = models.IntegerField(null=True)
    one_off = models.BooleanField()
    start_time = models.DateTimeField(null=True)
    enabled = models.BooleanField()
    last_run_at = models.DateTimeField(null=True)
    total_run_count = models.IntegerField()
    date_changed = models.DateTimeField()
    description = models.TextField()

    class Meta(_Table.Meta):
        db_table = f"{PREFIX}periodictask"


class _Crontab(_Table):  # noqa: DJ008
    minute = models.TextField()
    hour = models.TextField()
    day_of_month = models.TextField()
    month_of_year = models.TextField()
    day_of_week = models.TextField()
    timezone = models.TextField()

    class Meta(_Table.Meta):
        db_table = f"{PREFIX}crontabschedule"


class _Interval(_Table):  # noqa: DJ008
    every = models.IntegerField()
    period = models.TextField()

    class Meta(_Table.Meta):
        db_table = f"{PREFIX}intervalschedule"


class _Clocked(_Table):  # noqa: DJ008
    clocked_time = models.DateTimeField()

    class Meta(_Table.Meta):
        db_table = f"{PREFIX}clockedschedule"


class _Solar(_Table):  # noqa: DJ008
    event = models.TextField()
    latitude = models.DecimalField(max_digits=9, decimal_places=6)
    longitude = models.DecimalField(max_digits=9, decimal_places=6)

    class Meta(_Table.Meta):
        db_table = f"{PREFIX}solarschedule"


class _Changes(_Table):  # noqa: DJ008
    ident = models.SmallIntegerField(primary_key=True)
    last_update = models.DateTimeField()

    class Meta(_Table.Meta):
        db_table = f"{PREFIX}periodictasks"


def are_there(alias: str) -> bool:
    """Return whether the database has the tables."""
    return _Task._meta.db_table in connections[alias].introspection.table_names()


def read(alias: str) -> Iterator[Entry | tuple[str, str]]:
    """Yield each schedule; for a row that cannot be read, its name and why."""
    timings: dict[str, dict[int, Any]] = {
        "crontab_id": {row["id"]: _crontab(row) for row in _rows(_Crontab, alias)},
        "interval_id": {row["id"]: row for row in _rows(_Interval, alias)},
        "clocked_id": {row["id"]: At(row["clocked_time"]) for row in _rows(_Clocked, alias)},
        "solar_id": {row["id"]: _solar(row) for row in _rows(_Solar, alias)},
    }
    for row in _rows(_Task, alias):
        try:
            yield _entry(row, timings)
        except CannotImport as error:
            yield row["name"], str(error)


def last_runs(alias: str) -> dict[str, datetime | None]:
    """Return the names of those that beat fires, and when it last did."""
    enabled = _Task._base_manager.using(alias).filter(enabled=True)
    return dict(enabled.values_list("name", "last_run_at"))


def disable(alias: str, names: Collection[str]) -> None:
    """Disable schedules, and tell a beat that is running."""
    _Task._base_manager.using(alias).filter(name__in=names).update(enabled=False)
    _Changes._base_manager.using(alias).update_or_create(
        ident=1, defaults={"last_update": timezone.now()}
    )


def _rows(model: type[models.Model], alias: str) -> list[dict[str, Any]]:
    """Return the rows with those columns that the table has; none if there is no such table."""
    connection = connections[alias]
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return []
        there = {
            column.name for column in connection.introspection.get_table_description(cursor, table)
        }
    columns = [f.attname for f in model._meta.concrete_fields if f.column in there]
    return [*model._base_manager.using(alias).order_by("pk").values(*columns)]


def _entry(row: dict[str, Any], timings: dict[str, dict[int, Any]]) -> Entry:
    options = {name: row[name] for name in OPTIONS if row.get(name) not in {None, "", "{}"}}
    if row.get("expire_seconds") is not None:
        options["expires"] = row["expire_seconds"]
    return Entry(
        name=row["name"],
        task=row["task"],
        timing=_timing(row, timings),
        args=_json(row, "args", list),
        kwargs=_json(row, "kwargs", dict),
        enabled=row["enabled"],
        one_off=row.get("one_off", False),
        start=row.get("start_time"),
        end=row.get("expires"),
        last_run=row["last_run_at"],
        run_count=row["total_run_count"],
        description=row.get("description") or "",
        options=options,
        is_in_tables=True,
    )


def _timing(row: dict[str, Any], timings: dict[str, dict[int, Any]]) -> Any:
    for name, known in timings.items():
        if row.get(name) is not None:
            timing = known.get(row[name])
            if timing is None:
                raise CannotImport(f"The row of its {name.removesuffix('_id')} is gone.")
            return _every(timing, row) if name == "interval_id" else timing
    raise CannotImport("It has no schedule.")


def _crontab(row: dict[str, Any]) -> Crontab:
    return Crontab(**{name: row[name] for name in FIELDS}, timezone=row.get("timezone") or "UTC")


def _every(interval: dict[str, Any], row: dict[str, Any]) -> Every:
    try:
        every = timedelta(**{interval["period"]: interval["every"]})
    except (OverflowError, TypeError):
        raise CannotImport(
            f"{interval['every']} {interval['period']} is not an interval."
        ) from None
    return Every(every, row["last_run_at"] or row.get("date_changed"))


def _solar(row: dict[str, Any]) -> Other:
    return Other(f"solar schedule ({row['event']} at {row['latitude']}, {row['longitude']})")


def _json(row: dict[str, Any], name: str, kind: type) -> Any:
    try:
        value = json.loads(row[name]) if row[name] else kind()
    except ValueError as error:
        raise CannotImport(f"Its {name} are not JSON: {error}.") from error
    if not isinstance(value, kind):
        raise CannotImport(f"Its {name} must be a {kind.__name__}, not {row[name]}.")
    return value
