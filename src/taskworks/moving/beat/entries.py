"""What beat knows of a schedule, wherever it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


class CannotImport(Exception):  # noqa: N818 - like the other names of refusals
    """A schedule cannot be imported; the text says why, and what to do."""


# Of a crontab, in the order of an expression.
FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


@dataclass(frozen=True, slots=True)
class Crontab:
    """The fields of Celery's crontab, as text, and its time zone."""

    minute: str
    hour: str
    day_of_month: str
    month_of_year: str
    day_of_week: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Every:
    """An interval, and the moment from which beat counts it, if it knows one."""

    interval: timedelta
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class At:
    """One moment."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class Other:
    """What has no counterpart here, such as a solar schedule; ``text`` names it."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A schedule of beat."""

    name: str
    task: str
    timing: Crontab | Every | At | Other
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    one_off: bool = False
    start: datetime | None = None
    end: datetime | None = None
    last_run: datetime | None = None
    run_count: int = 0
    description: str = ""
    # Options of its runs under Celery's names, those that are None left out.
    options: Mapping[str, Any] = field(default_factory=dict)
    is_in_tables: bool = False
