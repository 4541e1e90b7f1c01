"""The database's clock, as an expression: workers and web servers may disagree about the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression
from django.utils import timezone

_moments_are_parameters: ContextVar[bool] = ContextVar("moments_are_parameters", default=False)


class DatabaseClock(Expression):
    """
    The moment at which the statement is executed, moved by ``offset``.

    Not ``Now()``: that is the transaction's start on PostgreSQL, and on MySQL a time in the
    server's zone rather than in the one that Django stores.
    """

    output_field = models.DateTimeField()

    # The test kit sets these two, for its process: how far a test has moved the clock, and whether
    # it is Python's, which freezegun and time-machine freeze and move, instead of the server's.
    moved: ClassVar[timedelta] = timedelta()
    is_python_s: ClassVar[bool] = False

    def __init__(self, offset: timedelta = timedelta()) -> None:
        super().__init__()
        self.offset = offset

    def as_postgresql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        if self.is_python_s:
            return "%s::timestamptz", (self._parameter(connection),)
        offset = in_microseconds(self.offset + self.moved)
        if not offset:
            return "STATEMENT_TIMESTAMP()", ()
        # Not an interval of days: some have 23 or 25 hours in the session's time zone.
        return "(STATEMENT_TIMESTAMP() + %s * INTERVAL '1 microsecond')", (offset,)

    def as_mysql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        parameters = (self._parameter(connection),)
        if self.is_python_s:
            return "CAST(%s AS DATETIME(6))", parameters
        return "(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", parameters

    def as_sqlite(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        # The database is on this machine, and its own clock has milliseconds only.
        return "%s", (self._parameter(connection),)

    def _parameter(self, connection: BaseDatabaseWrapper) -> Any:
        moment = Moment(self.offset)
        return moment if _moments_are_parameters.get() else moment.value(connection)


class Moment:
    """A parameter of a statement that depends on when the statement is executed."""

    def __init__(self, offset: timedelta) -> None:
        self.offset = offset

    def value(self, connection: BaseDatabaseWrapper) -> Any:
        """Return it for a statement that is executed now."""
        if connection.vendor == "postgresql":
            return python_s_time() + self.offset
        if connection.vendor == "mysql" and not DatabaseClock.is_python_s:
            # The zone in which Django stores times here, which MySQL itself does not know.
            local = python_s_time().astimezone(ZoneInfo(connection.timezone_name))
            moved = DatabaseClock.moved + (local.utcoffset() or timedelta())
            return in_microseconds(self.offset + moved)
        now = as_stored(python_s_time()) + self.offset
        return connection.ops.adapt_datetimefield_value(now)


@contextmanager
def moments_are_parameters() -> Iterator[None]:
    """Have what is composed here contain each ``Moment`` itself, and not its value."""
    token = _moments_are_parameters.set(True)
    try:
        yield
    finally:
        _moments_are_parameters.reset(token)


def python_s_time() -> datetime:
    """Return the time of this process, moved as a test has moved it."""
    return datetime.now(UTC) + DatabaseClock.moved


def in_microseconds(duration: timedelta) -> int:
    """Return the duration in whole microseconds, as databases count it exactly."""
    return duration // timedelta(microseconds=1)


def read(connection: BaseDatabaseWrapper) -> datetime:
    """Return the database's time, as Django would read it from a column."""
    if DatabaseClock.is_python_s:
        return as_stored(python_s_time())
    match connection.vendor:
        case "postgresql":
            return _selected(connection, *DatabaseClock().as_postgresql(None, connection))
        case "mysql":
            now = _selected(connection, *DatabaseClock().as_mysql(None, connection))
            zone = connection.timezone
            return timezone.make_aware(now, zone) if zone else now
        case _:
            return as_stored(python_s_time())


def later(moment: datetime, duration: timedelta) -> datetime:
    """
    Return the stored moment that is ``duration`` later in real time. Without time zones, in an hour
    that comes twice, nobody knows which one is meant: there it may be up to an hour later.
    """
    end = as_aware(moment).astimezone(UTC) + duration
    stored = as_stored(end)
    is_certain = settings.USE_TZ or not (_comes_twice(moment) or _comes_twice(stored))
    return stored if is_certain else moment + duration


def as_aware(moment: datetime) -> datetime:
    """
    Return a stored moment with its time zone. In a project without time zones that is UTC, because
    local moments of an hour that comes twice equal no other.
    """
    if timezone.is_aware(moment):
        return moment
    return timezone.make_aware(moment, timezone.get_default_timezone()).astimezone(UTC)


def as_stored(moment: datetime) -> datetime:
    """Return a moment as this project's columns have it, with or without a time zone."""
    if settings.USE_TZ:
        return moment
    return timezone.make_naive(moment, timezone.get_default_timezone()).replace(fold=0)


def can_be_stored(moment: datetime) -> bool:
    """
    Return whether the moment is read as it was written. Without time zones, one of the two in an
    hour that comes twice is not.
    """
    return settings.USE_TZ or as_aware(as_stored(moment)) == moment


def _comes_twice(local: datetime) -> bool:
    """Return whether a local moment is in an hour that comes twice."""
    zone = timezone.get_default_timezone()
    first, second = (local.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first != second


def _selected(connection: BaseDatabaseWrapper, clock: str, parameters: tuple[Any, ...]) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {clock}", parameters)
        [now] = cursor.fetchone()
    return now  # type: ignore[no-any-return]
