"""Transactions of our own, which are going to write."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections, transaction


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
