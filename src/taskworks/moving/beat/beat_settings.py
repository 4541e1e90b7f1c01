"""The schedules in ``CELERY_BEAT_SCHEDULE``, or in ``beat_schedule`` of a Celery app."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from taskworks.moving.beat.entries import (
    FIELDS,
    At,
    CannotImport,
    Crontab,
    Entry,
    Every,
    Other,
)

SETTINGS = ("CELERY_BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE")


def read(app_path: str | None) -> Iterator[Entry | tuple[str, str]]:
    """
    Yield each schedule of the app at this path, such as "project.celery:app", or of Django's
    settings; for one that cannot be read, its name and why. Raise CannotImport for a bad path.
    """
    schedules, timezone = _of_settings() if app_path is None else _of_app(app_path)
    for name, given in schedules.items():
        try:
            yield _entry(str(name), given, timezone)
        except (CannotImport, KeyError, TypeError, AttributeError) as error:
            yield str(name), str(error) if isinstance(error, CannotImport) else _unreadable(given)


def _unreadable(given: Any) -> str:
    return f"It is not an entry of beat: {given!r:.200}"


def _of_settings() -> tuple[Mapping[str, Any], str]:
    found = (getattr(settings, name, None) for name in SETTINGS)
    timezone = getattr(settings, "CELERY_TIMEZONE", None) or "UTC"
    return next(filter(None, found), {}), str(timezone)


def _of_app(path: str) -> tuple[Mapping[str, Any], str]:
    try:
        app = import_string(path.replace(":", "."))
        return app.conf.beat_schedule or {}, str(app.timezone)
    except Exception as error:  # a module may raise anything while it is imported
        raise CannotImport(
            f"{path!r} is not the path of a Celery app: {type(error).__name__}: {error}. Write it "
            "like project.celery:app."
        ) from error


def _entry(name: str, given: Mapping[str, Any], timezone: str) -> Entry:
    options = dict(given.get("options") or {})
    end = options.pop("expires") if isinstance(options.get("expires"), datetime) else None
    if isinstance(options.get("expires"), timedelta):
        options["expires"] = options["expires"].total_seconds()
    return Entry(
        name=name,
        task=given["task"],
        timing=_timing(given["schedule"], timezone),
        args=[*(given.get("args") or ())],
        kwargs=dict(given.get("kwargs") or {}),
        enabled=bool(given.get("enabled", True)),
        end=end,
        options={key: value for key, value in options.items() if value is not None},
    )


def _timing(given: Any, timezone: str) -> Crontab | Every | At | Other:
    """Return what Celery's object says, without importing Celery."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Every(timedelta(seconds=given))
    if isinstance(given, timedelta):
        return Every(given)
    if hasattr(given, "_orig_minute"):
        zone = str(vars(given).get("tz") or timezone)  # its own, or that of the app
        return Crontab(**{n: _text(getattr(given, f"_orig_{n}")) for n in FIELDS}, timezone=zone)
    if isinstance(moment := getattr(given, "clocked_time", None), datetime):
        return At(moment)
    if hasattr(given, "event"):
        return Other(f"solar schedule ({given.event} at {given.lat}, {given.lon})")
    if isinstance(every := getattr(given, "run_every", None), timedelta):
        return Every(every)
    raise CannotImport(f"Its schedule is not one of Celery's: {given!r:.200}")


def _text(field: Any) -> str:
    """Return a field, which may also be a number or several."""
    if isinstance(field, str | int):
        return str(field)
    return ",".join(str(number) for number in sorted(field))
