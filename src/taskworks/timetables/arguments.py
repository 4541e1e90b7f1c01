"""Arguments of declarations, migration operations and shortcuts, as columns of a schedule."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from taskworks.compat.sisy import arguments as sisy
from taskworks.conf import nearest
from taskworks.timetables.cron import Cron

SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)
MAX_LABEL_LENGTH = 255  # characters
# Columns that may be given under their own names.
COLUMNS = (
    "args",
    "catch_up",
    "enabled",
    "end_running",
    "iterations",
    "jitter",
    "kwargs",
    "options",
    "overlap",
    "start_running",
    "timezone",
    "userdata",
    "wait_for_schedule",
)
# All names that may be given.
NAMES = (*COLUMNS, *sisy.ALIASES)


def when(schedule: Any) -> dict[str, Any]:
    """
    Return the columns of a cron expression or of an interval, a timedelta or seconds; raise
    ValueError for anything else.
    """
    if isinstance(schedule, str):
        Cron(schedule)
        return {"cron": schedule, "interval": None}
    return {"cron": "", "interval": duration("schedule", schedule)}


def columns(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return these arguments as columns; raise TypeError for one that a schedule does not have,
    ValueError for a bad value, and for two that contradict each other.
    """
    for name in given:
        if name not in NAMES:
            raise TypeError(f"A schedule has no argument {name!r}.{nearest(name, [*NAMES])}")
    changed = sisy.translated(given)
    if "jitter" in changed:
        changed["jitter"] = duration("jitter", changed["jitter"])
    if "args" in changed and isinstance(changed["args"], tuple):
        changed["args"] = [*changed["args"]]
    validate_userdata(changed.get("userdata", {}))
    return changed


def validate_userdata(userdata: Any) -> None:
    """Raise ValueError if it is not a dict."""
    if not isinstance(userdata, dict):
        raise ValueError(
            f"Userdata must be a dictionary of JSON-serializable data, not {userdata!r}."
        )


def duration(name: str, given: Any) -> timedelta:
    """Return a timedelta; it may be given as a number of seconds."""
    if isinstance(given, timedelta):
        return given
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return timedelta(seconds=given)
    except (OverflowError, ValueError):  # infinite, or nan
        pass
    raise ValueError(f"{name} must be a timedelta or a number of seconds, not {given!r}.")


def label_of(path: str) -> str:
    """Return a label for a schedule without one: its path and a short id."""
    return f"{path[: MAX_LABEL_LENGTH - 9]}-{uuid4().hex[-8:]}"
