"""A user of the database server who may have only so many connections."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.databases import PREFIX


class LimitedUser(NamedTuple):
    name: str
    password: str


@contextmanager
def limited_user(limit: int) -> Iterator[LimitedUser]:
    """While this lasts, there is one who may do everything in the test's database."""
    user = LimitedUser(f"{PREFIX}_limited", "of-a-test")
    _drop(user)  # of a test that was killed
    if connection.vendor == "postgresql":
        _execute(
            f"CREATE ROLE {user.name} LOGIN PASSWORD '{user.password}' CONNECTION LIMIT {limit}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user.name}",
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {user.name}",
        )
    else:
        _execute(
            f"CREATE USER {user.name} IDENTIFIED BY '{user.password}' "
            f"WITH MAX_USER_CONNECTIONS {limit}",
            f"GRANT ALL ON {connection.settings_dict['NAME']}.* TO {user.name}",
        )
    try:
        yield user
    finally:
        _drop(user)


def connection_of(user: LimitedUser) -> BaseDatabaseWrapper:
    """Another connection to the test's database, which is not open yet."""
    usual = connections["default"]
    settings = {**usual.settings_dict, "USER": user.name, "PASSWORD": user.password}
    return type(usual)(settings, "default")


def _drop(user: LimitedUser) -> None:
    if connection.vendor == "mysql":
        _execute(f"DROP USER IF EXISTS {user.name}")
    elif _execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{user.name}'"):
        _execute(f"DROP OWNED BY {user.name}", f"DROP ROLE {user.name}")


def _execute(*statements: str) -> int:
    """How many rows the last of them has found or changed."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.rowcount
