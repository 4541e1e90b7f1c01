"""The transactions around a test, of which a task should feel as little as in a worker."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

from django.db import connections
from django.test import TestCase

from taskworks.execution.task_connections import open_transactions


@contextmanager
def as_without_transactions() -> Iterator[None]:
    """
    Inside the transactions that are open: an error of the database breaks nothing but what the
    task has written, and what the task has left to a commit is called at the end, for a
    ``TestCase`` never commits.
    """
    with ExitStack() as around:
        for alias in open_transactions():
            if _is_of_a_test(alias):
                around.enter_context(_committed(alias))
            around.enter_context(_mended(alias))
        yield


@contextmanager
def _mended(alias: str) -> Iterator[None]:
    connection = connections[alias]
    waiting = len(connection.run_on_commit)
    savepoint = cast(str, connection.savepoint())  # in a transaction, it is one
    yield
    if connection.needs_rollback or not connection.is_usable():
        connection.set_rollback(False)
        connection.savepoint_rollback(savepoint)
        del connection.run_on_commit[waiting:]
    else:
        connection.savepoint_commit(savepoint)


@contextmanager
def _committed(alias: str) -> Iterator[None]:
    before = len(connections[alias].run_on_commit)
    try:
        with TestCase.captureOnCommitCallbacks(using=alias, execute=True):
            yield
    finally:
        # A test that captures them itself must not call them again.
        del connections[alias].run_on_commit[before:]


def _is_of_a_test(alias: str) -> bool:
    blocks = connections[alias].atomic_blocks
    return all(getattr(block, "_from_testcase", False) for block in blocks)
