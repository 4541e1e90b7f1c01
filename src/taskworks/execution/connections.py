"""The database connections of a thread that executes tasks."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


@contextmanager
def own_connections() -> Iterator[None]:
    """
    Begin with connections that work, and leave nothing open behind: a transaction that a task has
    begun and not ended is rolled back.
    """
    tidy_connections()
    outside = {connection.alias for connection in _in_transaction()}
    try:
        yield
    finally:
        _end_transactions(but=outside)
        tidy_connections()


def tidy_connections() -> None:
    """Close this thread's broken or old connections, as Django does around a request."""
    try:
        close_old_connections()
    except Exception:  # a driver that cannot even close must not decide an outcome
        logger.exception("A database connection could not be closed.")


def _end_transactions(but: set[str]) -> None:
    for connection in _in_transaction():
        if connection.alias not in but:
            logger.error("A task left a transaction open on %r.", connection.alias)
            connection.in_atomic_block = False  # or close() would leave the connection half open
            connection.close()


def _in_transaction() -> list[BaseDatabaseWrapper]:
    return [
        connection
        for connection in connections.all(initialized_only=True)
        if connection.in_atomic_block
    ]
