"""Which errors say that no connection was left."""

import pytest
from django.db import DatabaseError, OperationalError

from taskworks.database.exhaustion import has_no_connection_left

FATAL = 'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  '


class PoolTimeout(OperationalError):  # noqa: N818 - as psycopg_pool has it
    pass


class Odd(OperationalError):  # noqa: N818 - it is an error only by trade
    def __str__(self) -> str:
        raise SystemExit


def caused_by(cause: Exception) -> OperationalError:
    error = OperationalError("couldn't get a connection after 30.00 sec")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(FATAL + "sorry, too many clients already"),
        OperationalError(
            FATAL + "remaining connection slots are reserved for roles with the SUPERUSER attribute"
        ),
        OperationalError(FATAL + 'too many connections for role "shop"'),
        OperationalError(FATAL + 'too many connections for database "shop"'),
        OperationalError(FATAL + "no more connections allowed (max_client_conn)"),
        OperationalError(1040, "Too many connections"),
        OperationalError(1203, "User shop already has more than 'max_user_connections' active ..."),
        OperationalError(
            1226, "User 'shop' has exceeded the 'max_user_connections' resource (current value: 1)"
        ),
        caused_by(PoolTimeout()),
        ExceptionGroup("of two queries", [OperationalError(1040, "Too many connections")] * 2),
    ],
    ids=str,
)
def test_none_was_left(error: Exception) -> None:
    assert has_no_connection_left(error)


@pytest.mark.parametrize(
    "error",
    [
        OperationalError(FATAL + 'database "shop" does not exist'),
        OperationalError(2006, "Server has gone away"),
        OperationalError(1226, "User 'shop' has exceeded the 'max_questions' resource"),
        OperationalError(),
        DatabaseError("sorry, too many clients already"),
        ValueError("sorry, too many clients already"),
        ExceptionGroup("mixed", [OperationalError(1040, "Too many connections"), ValueError()]),
    ],
    ids=str,
)
def test_it_was_something_else(error: Exception) -> None:
    assert not has_no_connection_left(error)


def test_an_odd_error_is_something_else() -> None:
    assert not has_no_connection_left(Odd())
