"""What a database's server says of itself: transactions that stay open, and dead rows."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import real_time as time
from taskworks.database.connections import copy_of
from taskworks.models import TaskRun
from taskworks.store import Store

MAX_TOLD = 10


class OpenTransaction(NamedTuple):
    """A transaction of another session."""

    session: str  # what the server calls it, such as "pid 4711"
    whose: str  # what is known of it: a user, an application, an address
    open_for: timedelta
    does: str  # "idle", if it executes nothing


class DeadRows(NamedTuple):
    """What a vacuum of the table of runs would remove."""

    dead: int
    living: int
    vacuumed: timedelta | None  # ago; None if it never was
    table_allows: bool  # that the server vacuums it on its own
    server_does: bool  # so with any table


def open_transactions(store: Store, longer_than: timedelta) -> list[OpenTransaction]:
    """
    Return the transactions of this database that are open for longer, the oldest first, up to
    MAX_TOLD: on PostgreSQL those that hold back its vacuum, or that are idle. SQLite knows of none.
    """
    match store.connection.vendor:
        case "postgresql":
            return [*_on_postgresql(store.connection, longer_than)]
        case "mysql":
            return [*_on_mysql(store.connection, longer_than)]
        case _:
            return []


def _on_postgresql(
    connection: BaseDatabaseWrapper, longer_than: timedelta
) -> Iterator[OpenTransaction]:
    rows = _fetch(
        connection,
        """
        SELECT 'pid ' || pid, CONCAT_WS(' ', usename, NULLIF(application_name, ''), client_addr),
            EXTRACT(EPOCH FROM CLOCK_TIMESTAMP() - xact_start), state
        FROM pg_stat_activity
        WHERE datname = CURRENT_DATABASE() AND pid <> PG_BACKEND_PID()
            AND backend_type = 'client backend'
            AND xact_start < CLOCK_TIMESTAMP() - %s * INTERVAL '1 second'
            AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL
                OR state LIKE 'idle in transaction%%')
        UNION ALL
        SELECT 'prepared ' || gid, owner, EXTRACT(EPOCH FROM CLOCK_TIMESTAMP() - prepared), 'idle'
        FROM pg_prepared_xacts
        WHERE database = CURRENT_DATABASE()
            AND prepared < CLOCK_TIMESTAMP() - %s * INTERVAL '1 second'
        ORDER BY 3 DESC LIMIT %s""",
        [longer_than.total_seconds()] * 2 + [MAX_TOLD],
    )
    for session, whose, seconds, state in rows:
        does = "idle" if state.startswith("idle") else "executing a statement"
        yield OpenTransaction(session, whose, timedelta(seconds=float(seconds)), does)


def _on_mysql(connection: BaseDatabaseWrapper, longer_than: timedelta) -> Iterator[OpenTransaction]:
    rows = _fetch(
        connection,
        """
        SELECT session.id, CONCAT(session.user, ' ', session.host),
            TIMESTAMPDIFF(SECOND, trx.trx_started, NOW()), session.command
        FROM information_schema.innodb_trx AS trx
        JOIN information_schema.processlist AS session ON session.id = trx.trx_mysql_thread_id
        WHERE session.db = DATABASE() AND session.id <> CONNECTION_ID()
            AND TIMESTAMPDIFF(SECOND, trx.trx_started, NOW()) >= %s
        ORDER BY trx.trx_started LIMIT %s""",
        [longer_than.total_seconds(), MAX_TOLD],
    )
    for session, whose, seconds, command in rows:
        does = "idle" if command == "Sleep" else "executing a statement"
        yield OpenTransaction(f"thread {session}", whose, timedelta(seconds=int(seconds)), does)


def is_write_locked(store: Store, seconds: float) -> bool:
    """
    Return whether SQLite's write lock cannot be had for ``seconds``: the process that has it keeps
    every other from writing. Takes it for a moment if it can be had.
    """
    with _another(connections[store.alias]) as connection, connection.cursor() as cursor:
        until = time.monotonic() + seconds
        cursor.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
        try:
            cursor.execute("BEGIN IMMEDIATE")
        except OperationalError as error:
            if "locked" not in str(error):
                raise
            return time.monotonic() >= until
        cursor.execute("ROLLBACK")
    return False


def dead_rows(store: Store) -> DeadRows | None:
    """Return how many rows a vacuum of the table of runs would remove; None where there is none."""
    if store.connection.vendor != "postgresql":
        return None
    rows = _fetch(
        store.connection,
        """
        SELECT n_dead_tup, n_live_tup,
            EXTRACT(EPOCH FROM CLOCK_TIMESTAMP() - GREATEST(last_vacuum, last_autovacuum)),
            NOT COALESCE(
                ARRAY_TO_STRING(reloptions, ',') ~ 'autovacuum_enabled=(false|off|no|0)', FALSE
            ),
            CURRENT_SETTING('autovacuum')::bool
        FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
        WHERE relid = %s::regclass""",
        [store._quoted(TaskRun)],
    )
    for dead, living, seconds, *is_automatic in rows:
        ago = None if seconds is None else timedelta(seconds=float(seconds))
        return DeadRows(dead, living, ago, *is_automatic)
    return None


@contextmanager
def _another(connection: BaseDatabaseWrapper) -> Iterator[BaseDatabaseWrapper]:
    other = copy_of(connection)
    try:
        yield other
    finally:
        with suppress(Exception):
            other.close()


def _fetch(
    connection: BaseDatabaseWrapper, statement: str, parameters: list[Any]
) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())
