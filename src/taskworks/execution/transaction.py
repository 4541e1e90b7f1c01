"""Call a task in a transaction that its finish ends: both are committed, or neither."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.execution.attempt import Attempt, Finisher
from taskworks.execution.interrupt import Reason
from taskworks.execution.judgement import judge
from taskworks.execution.outcome import (
    Committed,
    Fenced,
    InDoubt,
    Outcome,
    Postponed,
    Succeeded,
    success,
)
from taskworks.execution.settlement import settled_copy
from taskworks.logs import steady_logger
from taskworks.options.policy import Policy
from taskworks.store import store_alias

SQLITE_PATIENCE = 5.0  # seconds that a writer waits for others unless it is told otherwise
BEGIN_AGAIN_AFTER = timedelta(seconds=1)

logger = steady_logger(__name__)


class NotOurs(Exception):  # noqa: N818 - it leads out of a transaction, and no further
    """The run is somebody else's by now."""


def obstacle(policy: Policy) -> str | None:
    """Why a task with this policy could not be transactional here; None if it could."""
    connection = connections[store_alias()]
    if connection.alias != DEFAULT_DB_ALIAS:
        return (
            f"transactional=True cannot be kept: a run is in the database {connection.alias!r}, "
            f"and what its task writes in {DEFAULT_DB_ALIAS!r}. One transaction needs one database."
        )
    patience = float(connection.settings_dict["OPTIONS"].get("timeout", SQLITE_PATIENCE))
    if connection.vendor == "sqlite" and policy.timeout >= patience:
        return (
            "transactional=True keeps every other writer of a SQLite database waiting, and they "
            f"wait {patience:g} s, as OPTIONS['timeout'] says: give the task a timeout below that, "
            f"not {policy.timeout:g}."
        )
    return None


def in_transaction(attempt: Attempt, call: Callable[[], Any]) -> Outcome:
    """
    Call the task, write its finish, commit. Raise what the task raises, when all is rolled back.

    Nothing interrupts this but the task's own lines. From the finish on, an error may come from a
    COMMIT that was made all the same: only the run itself knows.
    """
    finisher = _finisher_of(attempt)
    connection = connections[finisher.alias]
    has_begun, committed = False, None
    try:
        with transaction.atomic(using=finisher.alias):
            has_begun = True
            attempt.began = time.monotonic()  # the wait for SQLite's lock is no time of the task's
            with _ended_in_time(attempt, connection):
                returned = _called(connection, call)
            committed = _finished(attempt, finisher, returned)
    except NotOurs:
        return Fenced()
    except BaseException as error:
        if committed:
            logger.warning("Was run %s committed? %s", attempt.run.id, type(error).__name__)
            return InDoubt(judge(attempt, error))
        if not has_begun and isinstance(error, DatabaseError):
            return Postponed(BEGIN_AGAIN_AFTER, error)
        raise
    return committed


def _finisher_of(attempt: Attempt) -> Finisher:
    if attempt.finisher is None:
        raise RuntimeError("This worker cannot execute a task with transactional=True.")
    return attempt.finisher


@contextmanager
def _ended_in_time(attempt: Attempt, connection: BaseDatabaseWrapper) -> Iterator[None]:
    """
    On SQLite the worker cannot be relied on to interrupt a task in time: it may wait to write,
    for the task itself, which has the only lock.
    """
    if connection.vendor != "sqlite" or attempt.deadline == math.inf:
        yield
        return
    seconds = max(0.0, attempt.deadline - time.monotonic())
    timer = threading.Timer(seconds, attempt.guard.interrupt, [Reason.TIMEOUT])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _called(connection: BaseDatabaseWrapper, call: Callable[[], Any]) -> Succeeded:
    """What the task returned, if the transaction in which it was called is still there, whole."""
    depth = len(connection.atomic_blocks)
    # MySQL ends a transaction behind one's back, at a deadlock or a CREATE: then the savepoint of
    # an inner block cannot be released.
    with transaction.atomic(using=connection.alias, savepoint=connection.vendor == "mysql"):
        returned = success(call())
        if len(connection.atomic_blocks) != depth + 1:
            raise RuntimeError("The task left a transaction open: rolled back.")
        if connection.needs_rollback:
            raise RuntimeError("The task had its own transaction rolled back.")
    return returned


def _finished(attempt: Attempt, finisher: Finisher, returned: Succeeded) -> Committed:
    # Of a copy, for the worker writes meanwhile what the run itself tells.
    run = settled_copy(attempt, returned).run
    for name, value in attempt.channel.columns.items():
        setattr(run, name, value)
    if not finisher.commit(run):
        raise NotOurs
    return Committed(run.return_value, _moment(run.finished_at))


def _moment(finished_at: datetime | None) -> datetime:
    assert finished_at is not None, "it has ended"  # noqa: S101
    return finished_at
