"""Which database is meant where none is named: see ``taskworks.database.shards.using``."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

in_force: ContextVar[str | None] = ContextVar("taskworks_database", default=None)


@contextmanager
def none_in_force() -> Iterator[None]:
    """Leave the block ``using`` around this, for code of the project, which knows of none."""
    token = in_force.set(None)
    try:
        yield
    finally:
        in_force.reset(token)
