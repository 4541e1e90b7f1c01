"""Connections that are not shared with tasks, and that do not wait for a dead server forever."""

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.foreign_errors import ForeignErrorWrapper
from taskworks.logs import steady_logger

CONNECT_TIMEOUT = 10  # seconds
STATEMENT_TIMEOUT = 30  # seconds; no statement of a worker's own takes nearly as long
NETWORK_TIMEOUT = 15  # seconds without an acknowledgment of what was sent

logger = steady_logger(__name__)

# By the database's vendor. A project's own OPTIONS override these.
TIMEOUT_OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": CONNECT_TIMEOUT,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": NETWORK_TIMEOUT * 1000,
    },
    "mysql": {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": STATEMENT_TIMEOUT,
        "write_timeout": STATEMENT_TIMEOUT,
    },
    "sqlite": {},
}

# Django's own pool, and that of MySQL Connector/Python. Engines that always pool are not told
# otherwise: some make one pool per alias, with the options of whoever connects first.
POOL_OPTIONS = ("pool", "pool_name", "pool_size", "pool_reset_session")

_our_own: "WeakSet[BaseDatabaseWrapper]" = WeakSet()


def copy_of(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """
    Return a connection to the same database, outside of any pool, kept open, with timeouts. On
    PostgreSQL its transactions are READ COMMITTED, whatever the project's are: a statement that
    follows a lock must see what was committed until then.

    Whatever it raises when it is opened or used is a ``django.db.Error``; see ``foreign_errors``.
    """
    settings = {**copy.deepcopy(connection.settings_dict), "CONN_MAX_AGE": None, "AUTOCOMMIT": True}
    options = {**TIMEOUT_OPTIONS[connection.vendor], **settings["OPTIONS"]}
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        options["isolation_level"] = IsolationLevel.READ_COMMITTED
    settings["OPTIONS"] = {
        name: value for name, value in options.items() if name not in POOL_OPTIONS
    }
    copied = type(connection)(settings, connection.alias)
    copied.queries_log = deque(maxlen=0)  # with DEBUG it would grow with every statement
    copied.wrap_database_errors = ForeignErrorWrapper(copied)
    _our_own.add(copied)
    return copied


def is_our_own(connection: BaseDatabaseWrapper) -> bool:
    """Return whether it is such a copy, which no code of the project's uses."""
    return connection in _our_own


@contextmanager
def reserved_connection(alias: str) -> Iterator[None]:
    """
    Give this thread a connection of its own within the block. In a transaction, which only a test
    has open around it, it keeps the one it has.
    """
    usual = connections[alias]
    if usual.in_atomic_block:
        yield
        return
    connections[alias] = reserved = copy_of(usual)
    try:
        yield
    finally:
        reserved.close()
        connections[alias] = usual


@contextmanager
def own_connections(alias: str) -> Iterator[None]:
    """
    Reserve a connection as ``reserved_connection`` does, and close in the end whatever this thread
    has opened, to any database.
    """
    try:
        with reserved_connection(alias):
            yield
    finally:
        connections.close_all()


def close_unusable(opened: Iterable[BaseDatabaseWrapper]) -> None:
    """
    Close those connections that are broken or too old, as Django does around a request; but none
    in a transaction, which only a test has open around it.
    """
    for connection in opened:
        try:
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        except Exception:  # a driver that cannot even close must not decide an outcome
            logger.exception("The database connection %r could not be closed.", connection.alias)


@contextmanager
def left_as_it_was(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """
    Undo what receivers do to this connection within the block: roll back a transaction they leave
    open, and close the connection if it no longer commits each statement. In a transaction, which
    only a test has open around it, do nothing.
    """
    was_in_transaction = connection.in_atomic_block
    try:
        yield
    finally:
        if not was_in_transaction and connection.connection and not _commits(connection):
            logger.error("A receiver left a transaction open on %r: rolled back.", connection.alias)
            connection.in_atomic_block = connection.closed_in_transaction = False
            connection.close()


def _commits(connection: BaseDatabaseWrapper) -> bool:
    return connection.autocommit and not connection.in_atomic_block
