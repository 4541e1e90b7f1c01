"""Shards: backends whose runs are in a database of their own, ``OPTIONS["DATABASE"]`` in TASKS."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from taskworks.conf import nearest
from taskworks.framework import task_backends

DATABASE = "DATABASE"  # the option

in_force: ContextVar[str | None] = ContextVar("taskworks_database", default=None)


@contextmanager
def using(alias: str) -> Iterator[None]:
    """
    Have this database be meant in this block, in this thread, where none is named: for pages and
    commands, which show one database after another. What is enqueued goes where its backend says.
    """
    token = in_force.set(alias)
    try:
        yield
    finally:
        in_force.reset(token)


def database_of(backend: str) -> str | None:
    """Return what the option of a backend in TASKS names; None if routers decide."""
    entries: Any = task_backends.settings
    return _named_in(entries.get(backend)) if isinstance(entries, Mapping) else None


def named() -> set[str]:
    """Return all that such options name."""
    entries: Any = task_backends.settings
    values = entries.values() if isinstance(entries, Mapping) else ()
    return {alias for alias in map(_named_in, values) if alias and isinstance(alias, str)}


def valid_database(backend: str, given: Any) -> str | None:
    """Return what was given as the option; raise ImproperlyConfigured unless DATABASES has it."""
    if given is None or (isinstance(given, str) and given in connections):
        return given
    raise ImproperlyConfigured(
        f"TASKS[{backend!r}]['OPTIONS']['DATABASE'] is {given!r}, but DATABASES has no such "
        f"database.{nearest(str(given), [*connections])}"
    )


def _named_in(entry: Any) -> Any:
    options = entry.get("OPTIONS") if isinstance(entry, Mapping) else None
    return options.get(DATABASE) if isinstance(options, Mapping) else None
