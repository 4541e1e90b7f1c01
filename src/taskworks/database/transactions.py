"""Transactions of our own, which are going to write."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")


@contextmanager
def writing(alias: str) -> Iterator[None]:
    """
    Open a transaction that is going to write, or a savepoint in the caller's transaction.

    On SQLite it takes the write lock when it begins, and waits for it up to the database's
    ``timeout``, whatever ``transaction_mode`` says: one that has read may be refused it later.
    """
    with ExitStack() as block:
        with _beginning_as_writer(connections[alias]):
            block.enter_context(transaction.atomic(using=alias))
        yield


@contextmanager
def _beginning_as_writer(connection: Any) -> Iterator[None]:
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()  # which sets the project's mode
    usual = connection.transaction_mode
    connection.transaction_mode = "EXCLUSIVE" if usual == "EXCLUSIVE" else "IMMEDIATE"
    try:
        yield
    finally:
        connection.transaction_mode = usual


def is_inside_test_case(connection: BaseDatabaseWrapper) -> bool:
    """Return whether it is in the transaction of a ``TestCase``, which is rolled back."""
    return any(map(_is_of_test_case, connection.atomic_blocks))


def is_inside_own_block(connection: BaseDatabaseWrapper) -> bool:
    """Return whether it is in a transaction, or a savepoint, of other code than a ``TestCase``."""
    return not all(map(_is_of_test_case, connection.atomic_blocks))


def _is_of_test_case(block: Any) -> bool:
    return getattr(block, "_from_testcase", False)


def refuse_inside_transaction(what: str, reason: str) -> None:
    """
    Raise RuntimeError if this thread is in a transaction, on any database, unless it is that of a
    ``TestCase``.
    """
    for connection in connections.all(initialized_only=True):
        if is_inside_own_block(connection):
            raise RuntimeError(
                f"{what} cannot be used inside a transaction on {connection.alias!r}: {reason}"
            )


class TransactionLeftOpenError(RuntimeError):
    """A function has returned with a transaction of its own still open."""


def called_inside(connection: BaseDatabaseWrapper, call: Callable[[], T]) -> T:
    """
    Call a function in the transaction that is open, and return what it returns. Raise
    TransactionLeftOpenError if it leaves another one open, RuntimeError if the transaction is to be
    rolled back.
    """
    depth = len(connection.atomic_blocks)
    # MySQL ends a transaction implicitly, after a deadlock or a CREATE. Then the savepoint of an
    # inner block cannot be released.
    with transaction.atomic(using=connection.alias, savepoint=connection.vendor == "mysql"):
        returned = call()
        if len(connection.atomic_blocks) != depth + 1:
            raise TransactionLeftOpenError("The task left a transaction open: rolled back.")
        if connection.needs_rollback:
            raise RuntimeError("The task had its own transaction rolled back.")
    return returned
