"""What these tests share: where runs are, and a database that is down."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from taskworks.models import TaskRun
from taskworks.store import store
from tests.shards.backends import SHARD


def counts() -> tuple[int, int]:
    """How many runs are in the database of the default backend, and in the shard."""
    return (
        TaskRun.objects.using("default").count(),
        TaskRun.objects.using(SHARD).count(),
    )


@contextmanager
def down(alias: str) -> Iterator[None]:
    """The database cannot be reached, by any new connection of this process."""
    given = connections.settings[alias]
    connection = connections[alias]
    connection.close()
    before = {**given}, connection.settings_dict
    wrong: dict[str, Any] = {"NAME": "/nowhere/at/all.sqlite3", "HOST": "127.0.0.1", "PORT": "1"}
    given.update(wrong)
    connection.settings_dict = {**connection.settings_dict, **wrong}
    try:
        yield
    finally:
        connection.close()
        given.update(before[0])
        connection.settings_dict = before[1]


@contextmanager
def without_a_table(alias: str, table: str = "taskworks_taskrun") -> Iterator[None]:
    """The database has not been migrated: it has no such table."""

    def rename(name: str, to: str) -> None:
        with store(alias).connection.schema_editor() as editor:
            editor.execute(f"ALTER TABLE {name} RENAME TO {to}")

    rename(table, "taskworks_away")
    try:
        yield
    finally:
        rename("taskworks_away", table)
