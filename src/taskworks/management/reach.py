"""Whether the database that holds the runs can be reached."""

from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import ProgrammingError

from taskworks.store import store


def check_reachable(alias: str = "default") -> None:
    """
    Look whether the database answers and has the tables; raise CommandError if not. An error here
    is a person's: later ones are a worker's weather.
    """
    try:
        store().ready_queues(alias)
    except ProgrammingError as error:
        raise CommandError(f"{_missing_tables()} ({error})") from error
    except DatabaseError as error:
        if "no such table" in str(error):
            raise CommandError(f"{_missing_tables()} ({error})") from error
        raise CommandError(
            f"The database {store().alias!r} cannot be reached: {str(error).strip()}"
        ) from error


def _missing_tables() -> str:
    return (
        f"The database {store().alias!r} has no table of runs: run 'manage.py migrate taskworks'."
    )
