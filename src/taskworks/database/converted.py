"""Statements for SQLite, whose text is converted once; Django's cursor does that each time."""

from collections.abc import Mapping
from functools import lru_cache
from sqlite3 import Cursor
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

from taskworks.database.prepared import Parameters, is_observed

MAX_TEXTS = 250  # that are kept converted

_convert: Any = SQLiteCursorWrapper.convert_query  # which uses nothing of its cursor


def fetch(
    connection: BaseDatabaseWrapper, statement: str, parameters: Parameters
) -> list[tuple[Any, ...]]:
    """
    Send a statement and return its rows, as Django does; past its cursor, if nobody would miss it
    there.
    """
    with connection.cursor() as cursor:
        if is_observed(connection) or type(cursor.cursor) is not SQLiteCursorWrapper:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())
        connection.validate_no_broken_transaction()
        names = tuple(parameters) if isinstance(parameters, Mapping) else None
        with connection.wrap_database_errors:
            sent = Cursor.execute(cursor.cursor, _converted(statement, names), parameters)
            return sent.fetchall()


@lru_cache(maxsize=MAX_TEXTS)
def _converted(statement: str, names: tuple[str, ...] | None) -> str:
    """Return the statement with the marks of SQLite."""
    text: str = _convert(None, statement, param_names=names)
    return text
