"""Reads that are given up when they take too long, on each kind of database."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from django.db import Error as DatabaseError
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext

from taskworks import real_time as time

SQLITE_STEPS = 1000  # of its virtual machine, between two looks at the clock
# Attributes of Django's connections.
HANDLER, DEPTH = "_taskworks_progress_handler", "_taskworks_limits"
QUERY_CANCELED = "57014"  # of PostgreSQL
# Of MySQL and MariaDB: a statement has taken too long, or was killed for it.
TIMED_OUT = (3024, 1969)


class TookTooLong(Exception):  # noqa: N818 - an answer, not an error
    """A read was given up; the text is for people."""


@contextmanager
def reading_at_most(alias: str, seconds: float) -> Iterator[None]:
    """
    Give up each statement within the block that takes longer, with TookTooLong. The block must only
    read. It is a transaction where that is needed, or part of the caller's.
    """
    connection = connections[alias]
    try:
        with _limit_of(connection)(connection, seconds):
            yield
    except OperationalError as error:
        if not is_time_limit(error):
            raise
        raise TookTooLong(
            gettext("The database was asked for at most %(limit)s ms, and did not answer in time.")
            % {"limit": round(seconds * 1000)}
        ) from error


def is_time_limit(error: DatabaseError) -> bool:
    """Return whether the database has given up a statement because it took too long."""
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) == QUERY_CANCELED:
        return True
    if isinstance(cause, sqlite3.OperationalError):
        return str(cause) == "interrupted"
    return bool(error.args) and error.args[0] in TIMED_OUT


def _limit_of(
    connection: BaseDatabaseWrapper,
) -> Callable[[Any, float], AbstractContextManager[None]]:
    if connection.vendor == "postgresql":
        return _on_postgresql
    if connection.vendor == "sqlite":
        return _on_sqlite
    return _on_mariadb if getattr(connection, "mysql_is_mariadb", False) else _on_mysql


@contextmanager
def _on_postgresql(connection: Any, seconds: float) -> Iterator[None]:
    limit = f"{round(seconds * 1000)}ms"
    is_callers = connection.in_atomic_block
    with transaction.atomic(using=connection.alias):
        [before] = _row(
            connection,
            "SELECT current_setting('statement_timeout'), "
            "set_config('statement_timeout', %s, true)",
            [limit],
        )[:1]
        yield
        if is_callers:  # else it ends with the transaction
            _row(connection, "SELECT set_config('statement_timeout', %s, true)", [before])


@contextmanager
def _on_mysql(connection: Any, seconds: float) -> Iterator[None]:
    with _variable(connection, "max_execution_time", round(seconds * 1000)):
        yield


@contextmanager
def _on_mariadb(connection: Any, seconds: float) -> Iterator[None]:
    with _variable(connection, "max_statement_time", seconds):
        yield


@contextmanager
def _variable(connection: Any, name: str, value: float) -> Iterator[None]:
    """Set a variable of the session, and give it its old value in the end."""
    depth = getattr(connection, DEPTH, 0)
    saved = f"@taskworks_{name}_{depth}"  # each of nested limits has its own
    with connection.cursor() as cursor:
        cursor.execute(f"SET {saved} = @@SESSION.{name}, SESSION {name} = %s", [value])
    setattr(connection, DEPTH, depth + 1)
    try:
        yield
    finally:
        setattr(connection, DEPTH, depth)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION {name} = {saved}")
        except DatabaseError:
            with suppress(DatabaseError):  # or whoever uses it next would have our limit
                connection.close()


@contextmanager
def _on_sqlite(connection: Any, seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    raw, ends_at = connection.connection, float("inf")
    outer = getattr(connection, HANDLER, None)

    def begin(execute: Any, sql: Any, parameters: Any, many: Any, context: Any) -> Any:
        nonlocal ends_at
        ends_at = time.monotonic() + seconds
        return execute(sql, parameters, many, context)

    def is_over() -> bool:
        return time.monotonic() > ends_at or bool(outer and outer())

    _handle_progress(connection, raw, is_over)
    try:
        with connection.execute_wrapper(begin):
            yield
    finally:
        _handle_progress(connection, raw, outer)


def _handle_progress(connection: Any, raw: Any, is_over: Callable[[], bool] | None) -> None:
    """Make this SQLite's progress handler, of which there is one, and which cannot be read."""
    setattr(connection, HANDLER, is_over)
    if connection.connection is raw:  # or it was closed, and the handler is gone
        raw.set_progress_handler(is_over, SQLITE_STEPS if is_over else 0)


def _row(connection: Any, statement: str, parameters: list[Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row: tuple[Any, ...] = cursor.fetchone()
        return row
