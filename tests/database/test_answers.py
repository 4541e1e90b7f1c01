"""Errors of real databases: with which of them one has answered, or has given up."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import Error as DatabaseError
from django.db import OperationalError, connection, connections, transaction

from taskworks.database.answers import Fault, fault_of
from taskworks.models import Limit
from tests.database.errors import take_too_long
from tests.shards.several import down

WRITE = "UPDATE taskworks_limit SET at_once = 1"
BRIEFLY = {  # waits a session for a lock
    "sqlite": "PRAGMA busy_timeout = 1",
    "postgresql": "SET lock_timeout = '1ms'",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
}
SESSION = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT CONNECTION_ID()"}
END = {"postgresql": "SELECT pg_terminate_backend({})", "mysql": "KILL {}"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def another() -> Iterator[Any]:
    """A second connection to the same database, which is closed in the end."""
    copy = connections["default"].copy()
    yield copy
    copy.close()


def error_of(do: Callable[[], Any]) -> DatabaseError:
    with pytest.raises(DatabaseError) as raised:
        do()
    return raised.value


def execute(statement: str, on: Any = connection) -> None:
    with on.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    ["SELECT id FROM no_such_table", "SELECT no_such_column FROM taskworks_limit", "SELEKT 1"],
)
def test_what_is_not_there_is_an_answer(statement: str) -> None:
    error = error_of(lambda: execute(statement))
    assert fault_of(error) is Fault.FAILED


def test_to_give_up_a_statement_is_an_answer() -> None:
    error = error_of(lambda: take_too_long("default"))
    assert fault_of(error) is Fault.LATE


def test_so_is_to_give_up_the_wait_for_a_lock(another: Any) -> None:
    Limit.objects.create(name="first")
    execute(BRIEFLY[connection.vendor], another)
    with transaction.atomic():
        execute(WRITE)
        error = error_of(lambda: execute(WRITE, another))
    assert fault_of(error) is Fault.LATE


def test_one_that_cannot_be_reached_has_not_answered() -> None:
    with down("default"):
        error = error_of(lambda: execute("SELECT 1"))
    assert fault_of(error) is Fault.SILENT


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has no sessions")
def test_nor_has_one_that_has_ended_the_session(another: Any) -> None:
    execute("SELECT 1", another)
    with another.cursor() as cursor:
        cursor.execute(SESSION[connection.vendor])
        [session] = cursor.fetchone()
    execute(END[connection.vendor].format(session))
    for _first_and_then in range(2):
        error = error_of(lambda: execute("SELECT 1", another))
        assert fault_of(error) is Fault.SILENT


def test_what_no_driver_has_said_is_no_answer() -> None:
    assert fault_of(OperationalError("TimeoutError: the token provider")) is Fault.SILENT
