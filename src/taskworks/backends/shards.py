"""Go through all databases that have runs: that of the tables, and those of shards."""

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db.models import Model

from taskworks.backends.database import DatabaseBackend, database_backends
from taskworks.database.shards import using
from taskworks.database.tables import has_table
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, InvalidTaskBackend
from taskworks.meant_database import in_force
from taskworks.models.pause import QUEUE, Scope
from taskworks.options.tasks_setting import aliases, backend_of
from taskworks.store import alias_for, store_alias

T = TypeVar("T")
P = TypeVar("P")
Failing = dict[str, DatabaseError]  # the databases in which it could not be done, and why


def databases() -> list[str]:
    """
    Return the aliases of the databases that have runs, in the order of their backends; that of the
    default backend comes first.
    """
    default = alias_for(DEFAULT_TASK_BACKEND_ALIAS)
    used = sorted(dict.fromkeys(_used().values()), key=lambda alias: alias != default)
    return used or [default]


def _used() -> dict[str, str]:
    """Return the database of each backend that has one."""
    used = dict[str, str]()
    try:
        names = aliases()
    except InvalidTaskBackend:  # TASKS is not a dict, which a check reports
        return used
    for alias in names:
        with suppress(InvalidTaskBackend, ImproperlyConfigured):  # which a check reports
            backend = backend_of(alias)
            if isinstance(backend, DatabaseBackend):
                used[alias] = backend.database
    return used


def backends_here() -> list[DatabaseBackend]:
    """Return those backends whose runs are in the database that is meant here."""
    here = store_alias()
    return [backend for backend in database_backends() if backend.database == here]


def elsewhere(row: Model) -> str | None:
    """Return the database that has a row that was read, if it is not the first one."""
    alias = row._state.db
    return alias if alias in databases()[1:] else None


def in_each(
    do: Callable[[], T], among: Collection[str] | None = None, *, failing: Failing | None = None
) -> list[T]:
    """
    Do this in each database, by default in all, and return what came of it; in a block ``using``
    one of them, there alone. Where it fails, the others go on, and the first error is raised in the
    end; or, if ``failing`` is given and it was done in another, the errors are put there.
    """
    return prepared_in_each(lambda: None, lambda _: do(), among, failing=failing)


def prepared_in_each(
    prepare: Callable[[], P],
    do: Callable[[P], T],
    among: Collection[str] | None = None,
    *,
    failing: Failing | None = None,
) -> list[T]:
    """
    As ``in_each``, with what was prepared in the same database. Nothing is done in any before all
    that answer are prepared, so what ``prepare`` refuses is done nowhere.
    """
    errors = Failing()
    prepared = _tried(prepare, meant(among), errors)
    done = _tried(lambda: do(prepared[store_alias()]), [*prepared], errors)
    if errors and (failing is None or not done):
        raise next(iter(errors.values()))
    if failing is not None:
        failing |= errors
    return [*done.values()]


def _tried(do: Callable[[], T], where: Collection[str], errors: Failing) -> dict[str, T]:
    done = dict[str, T]()
    for alias in where:
        try:
            with using(alias):
                done[alias] = do()
        except DatabaseError as error:
            errors[alias] = error
    return done


def first_in_each(do: Callable[[], T | None], among: Collection[str] | None = None) -> T | None:
    """
    Return the first answer that is not None, from any database. Raise the error of one that does
    not answer only if no other has an answer.
    """
    error: DatabaseError | None = None
    for alias in meant(among):
        try:
            with using(alias):
                if (answer := do()) is not None:
                    return answer
        except DatabaseError as problem:
            error = error or problem
    if error:
        raise error
    return None


def meant(among: Collection[str] | None = None) -> list[str]:
    """
    Return the database of the block ``using`` around this, if it is one of these; else all of
    these, by default all that there are.
    """
    alias = in_force.get()
    if alias and (among is None or alias in among):
        return [alias]
    return databases() if among is None else [*among]


def databases_of(scope: Scope) -> list[str]:
    """
    Return those that have its runs: that of a queue's backend; of a task or a limit, or a queue of
    a backend that TASKS does not have any more, all.
    """
    own = _used().get(scope.backend) if scope.kind == QUEUE else None
    return [own] if own else databases()


def databases_of_backends(names: Iterable[str]) -> list[str]:
    """
    Return those that have the runs of these backends; all if none is named, or one that has no
    database in TASKS, or none any more.
    """
    names, used = [*names], _used()
    if not names or not used.keys() >= {*names}:
        return databases()
    return [*dict.fromkeys(used[name] for name in names)]


def in_which(alias: str) -> str:
    """Return words that say in which database something is; none if there is only one."""
    return f" in the database {alias!r}" if len(databases()) > 1 else ""


def with_table(model: type[Model], checked: Collection[str] | None) -> list[str]:
    """Return those databases that are to be checked, and have the model's table."""
    return [one for one in databases() if one in (checked or ()) and has_table(model, one)]
