"""Call a task in the transaction that also writes its finish: both are committed, or neither."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import real_time as time
from taskworks.database.transactions import TransactionLeftOpenError, called_inside, writing
from taskworks.execution.attempt import Attempt, Finisher
from taskworks.execution.interrupt import Reason
from taskworks.execution.judgement import EndRefused, ended, judge
from taskworks.execution.outcome import (
    Committed,
    Fenced,
    InDoubt,
    Outcome,
    Postponed,
    Succeeded,
)
from taskworks.execution.settlement import settled_copy
from taskworks.logs import steady_logger
from taskworks.options.policy import Policy

SQLITE_TIMEOUT = 5.0  # seconds that a writer waits for others by default
POSTPONEMENT = timedelta(seconds=1)  # of a run whose transaction could not begin

logger = steady_logger(__name__)


class ClaimLost(Exception):  # noqa: N818 - only rolls back the transaction
    """The run is no longer claimed by this worker."""


def obstacle(policy: Policy, database: str) -> str | None:
    """
    Return why a task with this policy cannot be transactional if its runs are in this database;
    None if it can.
    """
    connection = connections[database]
    if connection.alias != DEFAULT_DB_ALIAS:
        return (
            f"transactional=True cannot be used: runs are stored in the database "
            f"{connection.alias!r}, and tasks write to {DEFAULT_DB_ALIAS!r}. One transaction needs "
            "one database."
        )
    writers_wait = float(connection.settings_dict["OPTIONS"].get("timeout", SQLITE_TIMEOUT))
    if connection.vendor == "sqlite" and policy.timeout >= writers_wait:
        return (
            "A task with transactional=True blocks all other writers to a SQLite database, which "
            f"wait only {writers_wait:g} s (OPTIONS['timeout']). Give the task a timeout below "
            f"that, not {policy.timeout:g}."
        )
    return None


def in_transaction(attempt: Attempt, call: Callable[[], Any]) -> Outcome:
    """
    Call the task, write its finish, and commit. If the task raises, roll back and raise the same.

    Only the task's own code can be interrupted. After the finish was written, an error may come
    from a COMMIT that succeeded all the same, which only the row can tell.
    """
    finisher = _finisher_of(attempt)
    connection = connections[finisher.alias]
    has_begun, committed = False, None
    try:
        with writing(finisher.alias):
            has_begun = True
            attempt.began = time.monotonic()  # the wait for SQLite's lock does not count
            with _interrupted_in_time(attempt, connection):
                returned = _called(connection, call)
            committed = _finished(attempt, finisher, returned)
    except ClaimLost:
        return Fenced()
    except BaseException as error:
        if committed:
            logger.warning(
                "It is not known whether run %s was committed: %s",
                attempt.run.id,
                type(error).__name__,
            )
            return InDoubt(judge(attempt, error))
        # An engine may raise what it likes while it opens a connection.
        if not has_begun and isinstance(error, Exception):
            return Postponed(POSTPONEMENT, error)
        raise
    return committed


def _finisher_of(attempt: Attempt) -> Finisher:
    if attempt.finisher is None:
        raise RuntimeError("This worker cannot execute a task with transactional=True.")
    return attempt.finisher


@contextmanager
def _interrupted_in_time(attempt: Attempt, connection: BaseDatabaseWrapper) -> Iterator[None]:
    """
    Interrupt the task from a thread of its own on SQLite, where the worker may be waiting for the
    write lock that the task holds.
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
    """
    Return what the task returned. Raise EndRefused if that cannot be stored or a transaction is
    left open, RuntimeError if the transaction is to be rolled back.
    """
    try:
        return called_inside(connection, lambda: ended(call()))
    except TransactionLeftOpenError as error:
        raise EndRefused(RuntimeError(str(error))) from error


def _finished(attempt: Attempt, finisher: Finisher, returned: Succeeded) -> Committed:
    # In a copy, because the worker may be writing progress to the run at the same time.
    run = settled_copy(attempt, returned).run
    for name, value in attempt.channel.columns.items():
        setattr(run, name, value)
    if not finisher.commit(run):
        raise ClaimLost
    return Committed(run.return_value, _moment(run.finished_at))


def _moment(finished_at: datetime | None) -> datetime:
    assert finished_at is not None, "it has ended"  # noqa: S101
    return finished_at
