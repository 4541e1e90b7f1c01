"""What is asked of the database: how many statements, and how long each of them takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from taskworks.database.time_limit import is_time_limit

T = TypeVar("T")

OURS = "taskworks_"  # in statements on our tables, and not in Django's about the user


class Statement:
    """A statement, and how long it has taken, with the reading of its rows."""

    def __init__(self, sql: str) -> None:
        self.sql, self.seconds, self.is_given_up = sql, 0.0, False

    @property
    def is_counted(self) -> bool:
        """Whether it reads our tables."""
        return OURS in self.sql and not self.sql.startswith("SET ")  # a limit of time


class Asked(NamedTuple):
    """What was asked of the database for one answer."""

    statements: list[Statement]

    @property
    def count(self) -> int:
        return sum(one.is_counted for one in self.statements)

    @property
    def slowest(self) -> Statement:
        """The slowest of those that were answered."""
        answered = (one for one in self.statements if not one.is_given_up)
        return max(answered, key=lambda one: one.seconds, default=Statement(""))

    @property
    def given_up(self) -> int:
        return sum(one.is_given_up for one in self.statements)


@contextmanager
def watching() -> Iterator[Asked]:
    """Note the statements of the default connection."""
    asked = Asked([])
    # An attribute of the connection, which hides the method of its class.
    connection.make_cursor = lambda cursor: _Watched(cursor, connection, asked.statements)  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        del connection.make_cursor  # type: ignore[attr-defined]


class _Watched(CursorWrapper):
    """
    A cursor that times statements. SQLite finds many rows only when they are fetched, so that is
    timed, too.
    """

    def __init__(self, cursor: Any, db: Any, statements: list[Statement]) -> None:
        super().__init__(cursor, db)
        self._statements = statements

    def execute(self, sql: Any, params: Any = None) -> Any:
        self._statements.append(Statement(str(sql)))
        return self._timed(lambda: super(_Watched, self).execute(sql, params))

    def fetchone(self) -> Any:
        return self._timed(self.cursor.fetchone)

    def fetchmany(self, *size: int) -> Any:
        return self._timed(lambda: self.cursor.fetchmany(*size))

    def fetchall(self) -> Any:
        return self._timed(self.cursor.fetchall)

    def _timed(self, call: Callable[[], T]) -> T:
        statement, began = self._statements[-1], time.perf_counter()
        try:
            with self.db.wrap_database_errors:
                return call()
        except OperationalError as error:
            statement.is_given_up = is_time_limit(error)
            raise
        finally:
            statement.seconds += time.perf_counter() - began
