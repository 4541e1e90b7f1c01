"""The database connections of a thread that executes tasks."""

import math
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from taskworks import real_time as time
from taskworks.database.connections import close_unusable
from taskworks.execution.connection_state import State, is_same, state_of, state_of_new
from taskworks.logs import steady_logger
from taskworks.store import alias_for

MAX_KNOWN_AGE = 1.0  # seconds for which a thread is known to have no connection

logger = steady_logger(__name__)


class Before(NamedTuple):
    """How the connections of a thread were before a task."""

    in_transaction: frozenset[str]  # aliases
    states: Mapping[BaseDatabaseWrapper, State]


NOTHING = Before(frozenset(), {})


def tidy_connections() -> None:
    """
    Close this thread's broken or old connections, as Django does around a request. A connection in
    a transaction, which can only be a test's, is left alone.
    """
    close_unusable(_opened().values())


def leave_connections() -> None:
    """
    Close this thread's connections. A connection in a transaction, which can only be a test's, is
    left alone.
    """
    for connection in _opened().values():
        try:
            if not connection.in_atomic_block:
                connection.close()
        except Exception:  # an error while closing must not change an outcome
            logger.exception("The database connection %r could not be closed.", connection.alias)


def forget_queries() -> None:
    """With DEBUG, empty Django's log of this thread's statements, as Django does per request."""
    if _here.may_be_connected and settings.DEBUG:
        reset_queries()


def open_transactions() -> set[str]:
    """Return the aliases on which this thread is in a transaction."""
    return _in_transaction(_opened())


def tidy_before() -> Before:
    """Tidy up before a task; return how this thread's connections are."""
    known = _known_if_any()
    if not known:
        return NOTHING
    opened = _opened_of(known)
    close_unusable(opened.values())
    states = {connection: state_of(connection) for connection in known}
    return Before(frozenset(_in_transaction(opened)), states)


def tidy_after(before: Before, *, has_failed: bool) -> set[str]:
    """
    Tidy up after a task, roll back transactions that it left open, and return their aliases. A
    connection that it left in another state, such as that of a tenant, is dropped, unless it is in
    a transaction that was open before, which can only be a test's.
    """
    known = _known() if has_failed else _known_if_any()
    if not known:
        return set()
    opened = _opened_of(known)
    left_open = _in_transaction(opened) - before.in_transaction
    changed = {connection.alias for connection in known if _is_changed(connection, before)}
    for alias in left_open | (changed - before.in_transaction):
        _drop(alias)
        opened.pop(alias, None)
    close_unusable(opened.values())
    return left_open


def _is_changed(connection: BaseDatabaseWrapper, before: Before) -> bool:
    state = before.states.get(connection) or state_of_new(connection.alias)
    return not is_same(state, state_of(connection))


def drop_connections() -> set[str]:
    """Drop all of this thread's connections; return the aliases with an open transaction."""
    opened = _opened()
    left_open = _in_transaction(opened)
    for alias in opened:
        _drop(alias)
    return left_open


def refuse_to_wait_in_sqlite_transaction(backend: str) -> None:
    """Raise RuntimeError if this thread holds the lock that keeps the worker from writing."""
    connection = connections[alias_for(backend)]
    if connection.vendor == "sqlite" and connection.in_atomic_block:
        raise RuntimeError(
            "save_metadata() cannot be used inside a transaction on SQLite, because the worker "
            "stores the metadata, and the transaction's lock keeps it from writing. Save before or "
            "after the transaction."
        )


def _opened() -> dict[str, BaseDatabaseWrapper]:
    """Return this thread's connections, including any that broke while they were made."""
    return _opened_of(_known())


def _opened_of(known: list[BaseDatabaseWrapper]) -> dict[str, BaseDatabaseWrapper]:
    return {connection.alias: connection for connection in known if connection.connection}


def _known() -> list[BaseDatabaseWrapper]:
    """Return the wrappers of this thread, whether they are connected or not."""
    known = [*connections.all(initialized_only=True)]
    _here.may_be_connected = bool(known)
    _here.asked_at = time.monotonic() if _has_djangos_engines() else -math.inf
    return known


def _known_if_any() -> list[BaseDatabaseWrapper]:
    """
    Return the same, but ask Django only once per second in a thread that has no connections, unless
    an engine keeps a state of its own, which may be set before it connects.

    Asking takes long compared to a short task, most of which use none. There is a signal for new
    connections, but not for those that break while they are made; so ask once in a while.
    """
    is_known = time.monotonic() - _here.asked_at < MAX_KNOWN_AGE
    return [] if is_known and not _here.may_be_connected else _known()


def _has_djangos_engines() -> bool:
    return all(given["ENGINE"].startswith("django.") for given in connections.settings.values())


class _Here(threading.local):
    may_be_connected = False
    asked_at = -math.inf


_here = _Here()


@receiver(connection_created)
def _note_connection(**kwargs: Any) -> None:
    _here.may_be_connected = True


def _in_transaction(opened: dict[str, BaseDatabaseWrapper]) -> set[str]:
    return {alias for alias, connection in opened.items() if connection.in_atomic_block}


def _drop(alias: str) -> None:
    connection = connections[alias]
    try:
        # Otherwise close() would expect the atomic block to be continued, and keep the connection.
        connection.in_atomic_block = connection.closed_in_transaction = False
        connection.close()
    except Exception:
        logger.exception("The database connection %r could not be closed.", alias)
    finally:
        del connections[alias]
