"""The database connections of a thread that executes tasks."""

import threading
import time
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from taskworks.database.connections import close_unusable
from taskworks.logs import steady_logger
from taskworks.store import store_alias

LOOK_EVERY = 1.0  # seconds

logger = steady_logger(__name__)


def tidy_connections() -> None:
    """
    Close this thread's broken or old connections, as Django does around a request; but not in the
    middle of a transaction, which is then that of a test.
    """
    close_unusable(_opened().values())


def leave_connections() -> None:
    """
    Close this thread's connections, whatever they are still good for; but not in the middle of a
    transaction, which is then that of a test.
    """
    for connection in _opened().values():
        try:
            if not connection.in_atomic_block:
                connection.close()
        except Exception:  # a driver that cannot even close must not decide an outcome
            logger.exception("The database connection %r could not be closed.", connection.alias)


def open_transactions() -> set[str]:
    """The aliases on which this thread is in a transaction."""
    return _in_transaction(_opened())


def tidy_before() -> set[str]:
    """Tidy up before a task; the aliases on which this thread is in a transaction already."""
    opened = _opened_perhaps()
    close_unusable(opened.values())
    return _in_transaction(opened)


def tidy_after(outside: set[str], *, has_failed: bool) -> set[str]:
    """
    Tidy up after a task, and roll back what it has begun and not ended; the aliases where it had.
    """
    opened = _opened() if has_failed else _opened_perhaps()
    left_open = _in_transaction(opened) - outside
    for alias in left_open:
        _drop(alias)
        del opened[alias]
    close_unusable(opened.values())
    return left_open


def drop_connections() -> set[str]:
    """End this thread's connections, for the thread itself ends; as ``tidy_after``."""
    opened = _opened()
    left_open = _in_transaction(opened)
    for alias in opened:
        _drop(alias)
    return left_open


def refuse_to_wait_for_oneself() -> None:
    """Raise RuntimeError if this thread holds the lock that keeps the worker from writing."""
    connection = connections[store_alias()]
    if connection.vendor == "sqlite" and connection.in_atomic_block:
        raise RuntimeError(
            "save_metadata() inside a transaction on SQLite would wait for itself: the worker "
            "stores the metadata, and the transaction's lock keeps it from writing. Save before "
            "the transaction, or after it."
        )


def _opened() -> dict[str, BaseDatabaseWrapper]:
    """Those of this thread, one that broke before it was ready among them."""
    known = connections.all(initialized_only=True)
    _here.may_be_connected, _here.looked_at = bool(known), time.monotonic()
    return {connection.alias: connection for connection in known if connection.connection}


def _opened_perhaps() -> dict[str, BaseDatabaseWrapper]:
    """
    The same. Most short tasks open none, and to ask Django takes a while: in a thread that never
    had one it is asked once a second only, for nobody tells of one that breaks while it is made.
    """
    is_known = time.monotonic() - _here.looked_at < LOOK_EVERY
    return {} if is_known and not _here.may_be_connected else _opened()


class _Here(threading.local):
    may_be_connected = False
    looked_at = float("-inf")


_here = _Here()


@receiver(connection_created)
def _note_connection(**kwargs: Any) -> None:
    _here.may_be_connected = True


def _in_transaction(opened: dict[str, BaseDatabaseWrapper]) -> set[str]:
    return {alias for alias, connection in opened.items() if connection.in_atomic_block}


def _drop(alias: str) -> None:
    connection = connections[alias]
    try:
        # Or close() would think of an atomic block to come back to, and keep its half of it.
        connection.in_atomic_block = connection.closed_in_transaction = False
        connection.close()
    except Exception:
        logger.exception("The database connection %r could not be closed.", alias)
    finally:
        del connections[alias]
