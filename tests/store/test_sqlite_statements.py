"""Statements that pass by Django's cursor on SQLite: nobody notices."""

from contextlib import suppress
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.backends.sqlite3.base import SQLiteCursorWrapper
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from taskworks.database import converted
from taskworks.store import Store
from tests.new_runs import new_runs
from tests.store.conftest import Enqueue

pytestmark = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="The drivers of servers have marks of their own."
)


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("SELECT %s, '%%s', '%%', '?'", [1]),
        ("SELECT %s, '%%%%s %%d'", ["%s"]),
        ("SELECT 7 %% %s", [4]),
        ("SELECT 1", []),
        ("SELECT %(b)s, '%%s', %(a)s", {"a": 1, "b": 2}),
    ],
)
def test_the_text_means_what_it_means_to_django(
    store: Store, statement: str, parameters: Any
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        as_django = cursor.fetchall()
    assert converted.fetch(connection, statement, parameters) == as_django


def test_who_looks_at_statements_sees_them(enqueue: Enqueue) -> None:
    enqueue()
    with CaptureQueriesContext(connection) as asked:
        enqueue()
    assert [query["sql"].lstrip()[:6] for query in asked][:1] == ["INSERT"]


def test_who_forbids_statements_forbids_them(enqueue: Enqueue) -> None:
    enqueue()

    def refuse(*_: Any) -> None:
        raise PermissionError("Not now.")

    with connection.execute_wrapper(refuse), pytest.raises(PermissionError):
        enqueue()


def test_a_broken_transaction_refuses_them(enqueue: Enqueue) -> None:
    with transaction.atomic():
        with suppress(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            enqueue()


def test_one_that_fails_raises_djangos_error_and_the_next_one_works(
    enqueue: Enqueue, store: Store
) -> None:
    new = new_runs()
    store.enqueue(new)
    with pytest.raises(IntegrityError):
        store.enqueue(new)
    enqueue()


def test_a_cursor_that_somebody_has_put_in_place_of_djangos_gets_them(
    enqueue: Enqueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []

    class Cursor(SQLiteCursorWrapper):
        def execute(self, query: str, params: Any = None) -> Any:
            sent.append(query)
            return super().execute(query, params)

    monkeypatch.setattr(
        connection, "create_cursor", lambda name=None: connection.connection.cursor(factory=Cursor)
    )
    enqueue()
    assert [one.lstrip()[:6] for one in sent][:1] == ["INSERT"]
