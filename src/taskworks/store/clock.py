"""The database's clock, as an expression: workers and web servers may disagree about the time."""

from datetime import datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression
from django.utils import timezone


class DatabaseClock(Expression):
    """
    The moment at which the statement runs, moved by ``offset``.

    Not ``Now()``: that is the transaction's start on PostgreSQL, and on MySQL a time in the
    server's zone rather than in the one that Django stores.
    """

    output_field = models.DateTimeField()

    # How far tests have moved it, as this process sees it.
    moved: ClassVar[timedelta] = timedelta()

    def __init__(self, offset: timedelta = timedelta()) -> None:
        super().__init__()
        self.offset = offset

    def as_postgresql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        return "(STATEMENT_TIMESTAMP() + %s)", (self.offset + self.moved,)

    def as_mysql(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        # The zone in which Django stores times here, which MySQL itself does not know of.
        zone = ZoneInfo(connection.timezone_name)
        offset = self.offset + self.moved + (datetime.now(zone).utcoffset() or timedelta())
        microseconds = offset // timedelta(microseconds=1)
        return "(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", (microseconds,)

    def as_sqlite(
        self, compiler: Any, connection: BaseDatabaseWrapper, **context: Any
    ) -> tuple[str, tuple[Any, ...]]:
        # The database is this machine's: its own clock knows milliseconds only.
        now = timezone.now() + self.offset + self.moved
        return "%s", (connection.ops.adapt_datetimefield_value(now),)
