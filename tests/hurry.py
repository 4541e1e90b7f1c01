"""
The tests' own databases on PostgreSQL do not wait for the disk when a transaction commits: most of
what a test on a server lasts is that. What they lose by it they would lose only in a crash of the
server, and the tests crash none but private ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper


def hurry() -> None:
    """For all sessions that begin from now on."""
    for one in connections.all():
        _synchronous_commit(one, "off")
        one.close()


@contextmanager
def waiting_for_the_disk() -> Iterator[None]:
    """As in production, for a test that looks at this very setting in sessions that it begins."""
    _synchronous_commit(connection, "on")
    try:
        yield
    finally:
        _synchronous_commit(connection, "off")


def _synchronous_commit(of: BaseDatabaseWrapper, value: str) -> None:
    if of.vendor == "postgresql":
        name = of.ops.quote_name(of.settings_dict["NAME"])
        with of.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = {value}")
