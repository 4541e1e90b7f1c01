"""Go through all databases that have runs: that of the tables, and those of shards."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db.models import Model

from taskworks.backends.database import DatabaseBackend, database_backends
from taskworks.database.shards import in_force, using
from taskworks.database.tables import has_table
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, InvalidTaskBackend
from taskworks.models.pause import QUEUE, Scope
from taskworks.options.tasks_setting import aliases, backend_of
from taskworks.store import alias_for, store_alias

T = TypeVar("T")


def databases() -> list[str]:
    """
    Return the aliases of the databases that have runs, in the order of their backends; that of the
    default backend comes first.
    """
    default = alias_for(DEFAULT_TASK_BACKEND_ALIAS)
    used = sorted(dict.fromkeys(_used()), key=lambda alias: alias != default)
    return used or [default]


def _used() -> Iterator[str]:
    for alias in aliases():
        with suppress(InvalidTaskBackend, ImproperlyConfigured):  # which a check reports
            backend = backend_of(alias)
            if isinstance(backend, DatabaseBackend):
                yield backend.database


def backends_here() -> list[DatabaseBackend]:
    """Return those backends whose runs are in the database that is meant here."""
    here = store_alias()
    return [backend for backend in database_backends() if backend.database == here]


def in_each(do: Callable[[], T], among: Iterable[str] | None = None) -> list[T]:
    """
    Do this in each database, by default in all, and return what came of it; in a block ``using``
    one of them, there alone. If some do not answer, the others go on, and the first error is raised
    in the end.
    """
    done, errors = list[T](), list[DatabaseError]()
    for alias in meant(among):
        try:
            with using(alias):
                done.append(do())
        except DatabaseError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return done


def first_in_each(do: Callable[[], T | None]) -> T | None:
    """
    Return the first answer that is not None, from any database. Raise the error of one that does
    not answer only if no other has an answer.
    """
    error: DatabaseError | None = None
    for alias in meant():
        try:
            with using(alias):
                if (answer := do()) is not None:
                    return answer
        except DatabaseError as problem:
            error = error or problem
    if error:
        raise error
    return None


def meant(among: Iterable[str] | None = None) -> list[str]:
    """Return the database of the block ``using`` around this; else these, by default all."""
    if alias := in_force.get():
        return [alias]
    return databases() if among is None else [*among]


def databases_of(scope: Scope) -> list[str]:
    """Return those that have its runs: that of a queue's backend; of a task or a limit, all."""
    return [alias_for(scope.backend)] if scope.kind == QUEUE else databases()


def databases_of_backends(names: Iterable[str]) -> list[str]:
    """Return those that have the runs of these backends; all if none is named."""
    return [*dict.fromkeys(map(alias_for, names))] or databases()


def in_which(alias: str) -> str:
    """Return words that say in which database something is; none if there is only one."""
    return f" in the database {alias!r}" if len(databases()) > 1 else ""


def with_table(model: type[Model], checked: Collection[str] | None) -> list[str]:
    """Return those databases that are to be checked, and have the model's table."""
    return [one for one in databases() if one in (checked or ()) and has_table(model, one)]
