"""Where several databases have runs: which of them a page shows, and how the others are."""

from typing import NamedTuple

from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest

from taskworks.backends.shards import databases
from taskworks.dashboard.page_addresses import address_of_database
from taskworks.database.shards import using
from taskworks.store import store_alias


class Tab(NamedTuple):
    """A database, and where its pages are."""

    alias: str
    address: str
    is_current: bool


class State(NamedTuple):
    """How a database is: how many problems it has, or None if it does not answer."""

    tab: Tab
    problems: int | None


def meant(given: str | None) -> str:
    """Return the database that an address names, if it has runs, or else the first."""
    known = databases()
    return given if given in known else known[0]


def refuse_unknown(given: str | None) -> None:
    """Raise Http404 if the database that an address names has no runs."""
    if given is not None and given not in databases():
        raise Http404(f"No backend has its runs in the database {given!r}.")


def tabs(request: HttpRequest) -> list[Tab]:
    """Return all databases; none if there is only one."""
    known, current = databases(), store_alias()
    if len(known) == 1:
        return []
    return [
        Tab(one, address_of_database(request, one if place else None), one == current)
        for place, one in enumerate(known)
    ]


def states(request: HttpRequest) -> list[State]:
    """Return how each is; none if there is only one."""
    return [State(tab, _problems(tab.alias)) for tab in tabs(request)]


def home(request: HttpRequest) -> str:
    """Return the address of the first page of the first database."""
    return address_of_database(request, None)


def _problems(alias: str) -> int | None:
    from taskworks.dashboard.problems_shown import findings

    try:
        with using(alias):
            return len(findings().alarming)
    except DatabaseError:  # such as one without tables
        return None
