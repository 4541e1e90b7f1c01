"""Every statement that writes runs and workers, in one class per kind of database."""

from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from taskworks.store.verbs import Store

__all__ = ["Store", "store", "store_alias"]


def store_alias() -> str:
    """Return the alias of the database that holds the tables, according to the routers."""
    from taskworks.models import TaskRun

    return router.db_for_write(TaskRun)


def store(alias: str | None = None) -> Store:
    """Return the store of a database; raise ImproperlyConfigured if its kind is not supported."""
    return _store_of(alias or store_alias())


@cache
def _store_of(alias: str) -> Store:
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
