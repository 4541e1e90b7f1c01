"""Where several databases have runs: which of them a page shows, and how the others are."""

from typing import NamedTuple

from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest

from taskworks import real_time as time
from taskworks.backends.shards import databases
from taskworks.dashboard.page_addresses import address_of_database
from taskworks.database.shards import using
from taskworks.store import store_alias

ASKED_AGAIN_AFTER = 10.0  # seconds, or each page would wait for one that is silent
# The databases that have not answered, and when they were asked.
silent_since: dict[str, float] = {}


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
    return [State(tab, _problems(tab)) for tab in tabs(request)]


def home(request: HttpRequest) -> str:
    """Return the address of the first page of the first database."""
    return address_of_database(request, None)


def _problems(tab: Tab) -> int | None:
    from taskworks.dashboard.problems_shown import findings

    if not tab.is_current and _was_just_silent(tab.alias):
        return None
    try:
        with using(tab.alias):
            found = findings()
    except TimeoutError:  # another thread still waits for it
        return None
    except DatabaseError:  # such as one without tables
        silent_since[tab.alias] = time.monotonic()
        return None
    silent_since.pop(tab.alias, None)
    return len(found.alarming)


def _was_just_silent(alias: str) -> bool:
    since = silent_since.get(alias)
    return since is not None and time.monotonic() - since < ASKED_AGAIN_AFTER
