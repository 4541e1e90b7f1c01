"""
Keep the numbers of limits in the database: as code and settings declare them, or as a person wants
them.

A row stores what was declared last. A number that differs from that was changed by a person, and is
kept until another number is declared for it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from taskworks import discovery
from taskworks.backends.shards import Failing, databases, in_each, meant, prepared_in_each
from taskworks.chunks import in_chunks
from taskworks.database import shards
from taskworks.database.foreign_errors import foreign_errors_as_database_errors
from taskworks.database.tables import has_table
from taskworks.exceptions import InvalidTask
from taskworks.logs import steady_logger
from taskworks.models import Limit
from taskworks.options.declared_limits import declared_limits
from taskworks.options.limits import Number, refuse_bad_bursts, refuse_bad_number
from taskworks.store import store, store_alias

logger = steady_logger(__name__)

MAX_COUNTED = 10_000  # runs that wait for one limit
MAX_LOOKED_UP = 100  # limits, by one statement


class Use(NamedTuple):
    """A limit, and how many of its runs are in hand and ready, of these MAX_COUNTED at most."""

    limit: Limit
    in_hand: int
    waiting: int

    @property
    def is_capped(self) -> bool:
        """Whether that many wait, or more."""
        return self.waiting >= MAX_COUNTED

    @property
    def waiting_in_words(self) -> str:
        """The number, which may be too small."""
        return f"{self.waiting} or more" if self.is_capped else str(self.waiting)


def synchronize(*, withdraw: bool = False) -> None:
    """
    Write the numbers of all limits that this process knows, in one database; several may do so at
    once. With ``withdraw``, the others limit nothing from now on, unless a module that may declare
    them cannot be imported.
    """
    discovery.task_modules()
    declared = declared_limits()
    for name, limit in declared.items():
        store().declare_limit(name, limit.numbers)
    if withdraw and not discovery.failed:
        store().withdraw_limits(declared)


def synchronize_if_possible() -> None:
    """Do so for a worker that starts: an error of the database is logged."""
    # A worker of older code does not know the limits of newer code, so it withdraws none.
    try:
        with foreign_errors_as_database_errors(connections[store_alias()]):
            synchronize()
    except DatabaseError as error:
        logger.warning("The limits that are declared could not be updated: %s", error)


def synchronize_after_migrate(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """A receiver of ``post_migrate``, which withdraws what is not declared any more."""
    if using in databases() and has_table(Limit, using):
        with shards.using(using):
            synchronize(withdraw=True)


def change(name: str, numbers: Mapping[str, Number], *, failing: Failing | None = None) -> Limit:
    """
    Change numbers of a limit, in each database that has it, and return its row, that of the first
    of these. Note in ``failing``, if it is given, those in which that has failed, unless it has in
    all. Raise ValueError for a number that ``Limit`` would refuse, and for a limit that nobody
    declares.
    """
    changed = prepared_in_each(
        lambda: _refuse(name, numbers), lambda _: _changed(name, numbers), failing=failing
    )
    for row in changed:
        if row is not None:
            return row
    raise ValueError(
        f"There is no limit {name!r} in the database {' or '.join(map(repr, meant()))} that code "
        "or settings declare. Workers write those that they know when they start, and so does "
        "manage.py migrate."
    )


def refuse(name: str, numbers: Mapping[str, Number]) -> None:
    """Raise ValueError if ``change`` would refuse these numbers, in a database that answers."""
    in_each(lambda: _refuse(name, numbers), failing={})


def _refuse(name: str, numbers: Mapping[str, Number]) -> None:
    if not numbers:
        raise ValueError(f"Say which number of the limit {name!r} to change.")
    try:
        for number, value in numbers.items():
            refuse_bad_number(name, number, value)
        if row := store().limits.filter(name=name).first():
            refuse_bad_bursts(name, {**row.numbers, **numbers})
    except InvalidTask as error:
        raise ValueError(str(error)) from None


def _changed(name: str, numbers: Mapping[str, Number]) -> Limit | None:
    try:
        return store().change_limit(name, numbers)
    except InvalidTask as error:  # another has changed it since _refuse
        raise ValueError(str(error)) from None


def use_of(limit: Limit) -> Use:
    """Return how a limit is used now."""
    [use] = uses_of([limit])
    return use


def uses_of(rows: Iterable[Limit]) -> list[Use]:
    """Return how limits are used now, by a statement for up to MAX_LOOKED_UP of them."""
    rows, uses = list(rows), list[Use]()
    for some in in_chunks(rows, MAX_LOOKED_UP):
        in_use = store().limits_in_use([limit.name for limit in some], MAX_COUNTED)
        uses += [Use(limit, *in_use[limit.name]) for limit in some]
    return uses
