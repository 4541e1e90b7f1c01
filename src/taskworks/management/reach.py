"""Check that the database of the runs can be used."""

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections
from django.db import Error as DatabaseError

from taskworks.database.answers import said_of
from taskworks.database.foreign_errors import foreign_errors_as_database_errors
from taskworks.store import store


def check_reachable(backend: str = "default") -> None:
    """
    Raise CommandError if the database in force does not answer or has no tables.

    For the start of a command only: a worker that is running waits until an outage is over.
    """
    try:
        with foreign_errors_as_database_errors(connections[store().alias]):
            store().ready_queues(backend, limit=1)
    except ProgrammingError as error:
        raise CommandError(f"{_missing_tables()} ({error})") from error
    except DatabaseError as error:
        if "no such table" in str(error):
            raise CommandError(f"{_missing_tables()} ({error})") from error
        raise CommandError(said_of(store().alias, error)) from error


def _missing_tables() -> str:
    alias = store().alias
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
    return (
        f"The database {alias!r} does not have the tables of Taskworks. Run 'manage.py migrate "
        f"taskworks{option}'."
    )
