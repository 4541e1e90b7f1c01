"""Connections of the machinery's own, which no task can use up, and which do not hang for ever."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.logs import steady_logger

CONNECT_WITHIN = 10  # seconds
ANSWER_WITHIN = 30  # seconds for a statement; no duty of a worker takes nearly as long
SILENCE = 15  # seconds of the network without an answer

logger = steady_logger(__name__)

# By the database's vendor; what the project itself has set stays as it is.
LIMITS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": CONNECT_WITHIN,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": SILENCE * 1000,
    },
    "mysql": {
        "connect_timeout": CONNECT_WITHIN,
        "read_timeout": ANSWER_WITHIN,
        "write_timeout": ANSWER_WITHIN,
    },
    "sqlite": {},
}


def copy_of(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """A connection to the same database, outside of any pool, that is kept open, with limits."""
    settings = {**copy.deepcopy(connection.settings_dict), "CONN_MAX_AGE": None, "AUTOCOMMIT": True}
    options = {**LIMITS[connection.vendor], **settings["OPTIONS"]}
    options.pop("pool", None)
    settings["OPTIONS"] = options
    return type(connection)(settings, connection.alias)


@contextmanager
def reserved_connection(alias: str) -> Iterator[None]:
    """
    While this lasts, this thread reaches the database by a connection of its own; inside a
    transaction, which is then that of a test, by the one it has.
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
def left_as_it_was(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """
    Whatever others do with this connection meanwhile: a transaction that they leave open is rolled
    back, and a connection that they have commit no more by itself is closed. Inside a transaction,
    which is then that of a test, it is theirs to mend.
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
