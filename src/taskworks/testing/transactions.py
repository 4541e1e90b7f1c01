"""Hide the transactions around a test from a task, which has none around it in a worker."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

from django.db import connections
from django.test import TestCase

from taskworks.database.transactions import is_inside_own_block
from taskworks.execution.task_connections import open_transactions


@contextmanager
def as_without_transactions() -> Iterator[None]:
    """
    Let a task behave as without the open transactions: a database error affects only what the task
    has written, and its on_commit callbacks are called at the end, since a ``TestCase`` never
    commits.
    """
    with ExitStack() as around:
        for alias in open_transactions():
            if not is_inside_own_block(connections[alias]):
                around.enter_context(_calling_on_commit(alias))
            around.enter_context(_in_savepoint(alias))
        yield


@contextmanager
def _in_savepoint(alias: str) -> Iterator[None]:
    connection = connections[alias]
    waiting = len(connection.run_on_commit)
    savepoint = cast(str, connection.savepoint())  # not None inside a transaction
    yield
    if connection.needs_rollback or not connection.is_usable():
        connection.set_rollback(False)
        connection.savepoint_rollback(savepoint)
        del connection.run_on_commit[waiting:]
    else:
        connection.savepoint_commit(savepoint)


@contextmanager
def _calling_on_commit(alias: str) -> Iterator[None]:
    before = len(connections[alias].run_on_commit)
    try:
        with TestCase.captureOnCommitCallbacks(using=alias, execute=True):
            yield
    finally:
        # So that a test that captures callbacks itself does not call them again.
        del connections[alias].run_on_commit[before:]
