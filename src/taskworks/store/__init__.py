"""Every statement that writes runs and workers, one class a kind of database."""

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router

from taskworks.store.verbs import Store

__all__ = ["Store", "store", "store_alias"]


def store_alias() -> str:
    """The alias of the database that holds the tables, as the project's routers say."""
    from taskworks.models import TaskRun

    return router.db_for_write(TaskRun)


def store(alias: str | None = None) -> Store:
    """The store of this database; raise ImproperlyConfigured for a kind that has none."""
    alias = alias or store_alias()
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
                f"The database {alias!r} is {vendor}; runs can be stored on PostgreSQL, MySQL, "
                "MariaDB and SQLite. Route the app 'taskworks' to one of these."
            )
