"""Reads that take too long are given up, and leave the connection as it was."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from taskworks.database.time_limit import TookTooLong, reading_at_most
from tests.database.errors import SLOW

LIMIT_IN_FORCE = {
    "postgresql": "SELECT current_setting('statement_timeout')",
    "mysql": "SELECT @@SESSION.{}",
    "sqlite": "SELECT 0",
}


@pytest.fixture
def execute(transactional_db: None) -> Iterator[Any]:
    def execute(statement: str) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()

    yield execute
    connection.close()


def limit_in_force(execute: Any) -> Any:
    is_mariadb = getattr(connection, "mysql_is_mariadb", False)
    name = "max_statement_time" if is_mariadb else "max_execution_time"
    return execute(LIMIT_IN_FORCE[connection.vendor].format(name))


def test_a_slow_read_is_given_up(execute: Any) -> None:
    before = limit_in_force(execute)
    with pytest.raises(TookTooLong, match="100 ms"), reading_at_most("default", 0.1):
        execute(SLOW[connection.vendor])
    assert limit_in_force(execute) == before
    assert execute("SELECT 1") == (1,)


def test_a_quick_read_is_not(execute: Any) -> None:
    before = limit_in_force(execute)
    with reading_at_most("default", 60):
        assert execute("SELECT 1") == (1,)
    assert limit_in_force(execute) == before


def test_it_can_be_part_of_a_transaction(execute: Any) -> None:
    with transaction.atomic():
        before = limit_in_force(execute)
        with reading_at_most("default", 60):
            assert execute("SELECT 1") == (1,)
        assert limit_in_force(execute) == before
        with pytest.raises(TookTooLong), reading_at_most("default", 0.1):
            execute(SLOW[connection.vendor])
        assert limit_in_force(execute) == before
        assert execute("SELECT 1") == (1,)


def test_one_within_another_leaves_it_in_force(execute: Any) -> None:
    def read_twice() -> None:
        with reading_at_most("default", 0.1):
            with reading_at_most("default", 60):
                execute("SELECT 1")
            execute(SLOW[connection.vendor])

    before = limit_in_force(execute)
    with pytest.raises(TookTooLong):
        read_twice()
    assert execute("SELECT 1") == (1,)
    assert limit_in_force(execute) == before


def test_a_connection_that_is_closed_within_it_is_opened_again(execute: Any) -> None:
    with reading_at_most("default", 60):
        if connection.vendor != "postgresql":  # there it is a transaction
            connection.close()
        assert execute("SELECT 1") == (1,)


def test_other_errors_are_what_they_are(execute: Any) -> None:
    with pytest.raises(Exception, match="nowhere") as caught, reading_at_most("default", 1):
        execute("SELECT 1 FROM nowhere")
    assert not isinstance(caught.value, TookTooLong)
