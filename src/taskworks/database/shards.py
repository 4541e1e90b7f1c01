"""Shards: backends whose runs are in a database of their own, ``OPTIONS["DATABASE"]`` in TASKS."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.module_loading import import_string

from taskworks.conf import nearest
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.meant_database import in_force

DATABASE = "DATABASE"  # the option
# The class whose backends store runs; it is above, and cannot be imported here.
STORES_RUNS = "taskworks.backends.database.DatabaseBackend"


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
    """
    Return what the option of a backend in TASKS names; None if routers decide. What belongs to a
    backend that stores no runs is in the first database, see ``_first``.
    """
    entry = _entries().get(backend)
    if (option := _named_in(entry)) is not None or not named():
        return option
    return None if _stores_runs(entry) else _first()


def named() -> set[str]:
    """Return all that such options name."""
    aliases = map(_named_in, _entries().values())
    return {alias for alias in aliases if alias and isinstance(alias, str)}


def valid_database(backend: str, given: Any) -> str | None:
    """Return what was given as the option; raise ImproperlyConfigured unless DATABASES has it."""
    if given is None or (isinstance(given, str) and given in connections):
        return given
    raise ImproperlyConfigured(
        f"TASKS[{backend!r}]['OPTIONS']['DATABASE'] is {given!r}, but DATABASES has no such "
        f"database.{nearest(str(given), [*connections])}"
    )


def _first() -> str | None:
    """
    Return what the option of the default backend names, or of the first one that stores runs if
    that does not; None if one of them has its runs where routers decide.
    """
    entries = _entries()
    if own := _named_in(entries.get(DEFAULT_TASK_BACKEND_ALIAS)):
        return own
    places = [_named_in(entry) for entry in entries.values() if _stores_runs(entry)]
    return None if None in places else next(iter(places), None)


def _entries() -> Mapping[str, Any]:
    entries: Any = task_backends.settings
    return entries if isinstance(entries, Mapping) else {}


def _named_in(entry: Any) -> str | None:  # or anything else, which a check reports
    options = entry.get("OPTIONS") if isinstance(entry, Mapping) else None
    named = options.get(DATABASE) if isinstance(options, Mapping) else None
    return named if named is not None and _stores_runs(entry) else None


def _stores_runs(entry: Any) -> bool:
    try:
        return issubclass(import_string(entry["BACKEND"]), import_string(STORES_RUNS))
    except Exception:  # noqa: BLE001 - what is wrong with it is told when it is used
        return False
