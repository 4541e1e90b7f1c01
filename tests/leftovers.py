"""Test databases that a run of the suite has left behind because it was killed."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.db import connection

from tests.databases import HERE

OF_A_RUN = re.compile(rf"test_taskworks_{HERE}_(\d+)[_.]")  # and the id of its process


def drop_leftovers() -> None:
    """Drop them, unless the process that made them is alive."""
    if connection.vendor == "sqlite":
        for file in Path(settings.FILES).glob(f"test_taskworks_{HERE}_*"):
            if _is_left_over(file.name):
                file.unlink(missing_ok=True)
        return
    with connection._nodb_cursor() as cursor:
        for name in [*_names(cursor)]:
            if _is_left_over(name):
                cursor.execute(f"DROP DATABASE IF EXISTS {connection.ops.quote_name(name)}")


def _names(cursor: object) -> Iterator[str]:
    listing = {
        "postgresql": "SELECT datname FROM pg_database",
        "mysql": "SHOW DATABASES",
    }[connection.vendor]
    cursor.execute(listing)  # type: ignore[attr-defined]
    return (name for (name,) in cursor.fetchall())  # type: ignore[attr-defined]


def _is_left_over(name: str) -> bool:
    found = OF_A_RUN.match(name)
    return found is not None and not _is_alive(int(found[1]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
