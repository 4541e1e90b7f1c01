"""Every statement that writes runs and workers, in one class per kind of database."""

from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.db.models import Model

from taskworks.conf import nearest
from taskworks.database.shards import database_of, named
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.meant_database import in_force
from taskworks.store.verbs import Store

__all__ = ["Store", "alias_for", "routed_alias", "store", "store_alias", "store_for", "store_of"]


def store(alias: str | None = None) -> Store:
    """
    Return the store of a database, by default that of ``store_alias``; raise ImproperlyConfigured
    if DATABASES does not have it, or its kind is not supported.
    """
    return _store_of(alias or store_alias())


def store_for(backend: str) -> Store:
    """Return the store that has the runs of a backend, by its alias in TASKS."""
    return _store_of(alias_for(backend))


def store_of(row: Model) -> Store:
    """Return the store that has a row that was read; of a replica's row, that it is written to."""
    alias = row._state.db
    return store(alias if alias in named() else routed_alias())


def store_alias() -> str:
    """
    Return the alias of the database that is meant where none is named: that of the block ``using``
    around this, else that of the default backend.
    """
    return in_force.get() or alias_for(DEFAULT_TASK_BACKEND_ALIAS)


def alias_for(backend: str) -> str:
    """
    Return the alias of the database that has the runs of a backend: its option, or what the routers
    say. Of a backend that stores none, it is the first database.
    """
    return database_of(backend) or routed_alias()


def routed_alias() -> str:
    """Return the alias of the database that has the tables, according to the routers."""
    from taskworks.models import TaskRun

    return router.db_for_write(TaskRun)


@cache
def _store_of(alias: str) -> Store:
    if alias not in connections:
        raise ImproperlyConfigured(
            f"DATABASES has no database {alias!r} to store runs in.{nearest(alias, [*connections])}"
        )
    match connections[alias].vendor:
        case "postgresql":
            from taskworks.store.postgresql import PostgreSQLStore

            return PostgreSQLStore(alias)
        case "mysql":
            from taskworks.store.mysql import MySQLStore

            return MySQLStore(alias)
        case "sqlite":
            from taskworks.store.sqlite import SQLiteStore

            return SQLiteStore(alias)
        case vendor:
            raise ImproperlyConfigured(
                f"The database {alias!r} is {vendor}, but runs can only be stored on PostgreSQL, "
                "MySQL, MariaDB and SQLite. Route the app 'taskworks' to one of these."
            )
