"""Statements that a process sends often over one connection, prepared by PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.connections import is_our_own

Parameters = Sequence[Any] | Mapping[str, Any]

# How often a connection sends a statement before it has it prepared, which is a round trip of its
# own. Psycopg's own figure; a connection of one request rarely comes so far.
SENT_BEFORE_PREPARED = 5

# By psycopg's connection: how many statements are left until it may prepare; None if it may not.
_left: "WeakKeyDictionary[Any, int | None]" = WeakKeyDictionary()


def fetch(
    connection: BaseDatabaseWrapper, statement: str, parameters: Parameters
) -> list[tuple[Any, ...]]:
    """
    Send a statement and return its rows, as Django does; prepared, which saves the server from
    planning it again, if this driver can and nobody would miss it in Django's cursor.
    """
    with connection.cursor() as cursor:
        if not is_observed(connection):
            connection.validate_no_broken_transaction()
            with connection.wrap_database_errors:
                if _may_prepare(connection, cursor.connection):
                    return _fetch_prepared(cursor.connection, statement, parameters)
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def fetch_planned_anew(
    connection: BaseDatabaseWrapper, statement: str, parameters: Parameters
) -> list[tuple[Any, ...]]:
    """
    As ``fetch``, for a statement whose best plan depends on how full the tables are: the server
    plans it each time, and is spared the rest. Prepared on connections of our own alone, whose
    sessions may be told so.
    """
    if is_our_own(connection):
        return fetch(connection, statement, parameters)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _fetch_prepared(raw: Any, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
    import psycopg

    usual = raw.prepare_threshold
    raw.prepare_threshold = SENT_BEFORE_PREPARED  # Django's None means that nothing is prepared
    try:
        return psycopg.Cursor(raw).execute(statement, parameters, prepare=True).fetchall()
    finally:
        raw.prepare_threshold = usual


def is_observed(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the project looks at, or changes, what passes Django's cursor."""
    return bool(connection.execute_wrappers or connection.queries_logged)


def _may_prepare(connection: BaseDatabaseWrapper, raw: Any) -> bool:
    """Return whether this connection has sent enough, straight to a session of the server."""
    left = _left.get(raw, SENT_BEFORE_PREPARED)
    if left:
        _left[raw] = left - 1
        if left == 1:
            _begin_to_prepare(connection, raw)
    return left == 0


def _begin_to_prepare(connection: BaseDatabaseWrapper, raw: Any) -> None:
    if not _reaches_its_own_session(connection, raw):
        _left[raw] = None
    elif is_our_own(connection):
        if connection.in_atomic_block:  # a rollback would undo the setting
            _left[raw] = 1
        else:
            raw.execute("SET plan_cache_mode = force_custom_plan")


def _reaches_its_own_session(connection: BaseDatabaseWrapper, raw: Any) -> bool:
    """Return False for psycopg2, and behind a pooler, which may change sessions."""
    if not hasattr(raw, "pgconn"):
        return False
    if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):  # Django's word for a pooler
        return False
    [(pid,)] = raw.execute("SELECT pg_backend_pid()").fetchall()
    return bool(pid == raw.info.backend_pid)
