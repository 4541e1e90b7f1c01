"""Connections of the machinery's own, which no task can use up, and which do not hang for ever."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

CONNECT_WITHIN = 10  # seconds
ANSWER_WITHIN = 30  # seconds for a statement; no duty of a worker takes nearly as long
SILENCE = 15  # seconds of the network without an answer

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
    settings = {**copy.deepcopy(connection.settings_dict), "CONN_MAX_AGE": None}
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
