"""Where several databases have runs: which of them a page shows, and how the others are."""

from typing import NamedTuple

from django.db import Error as DatabaseError
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from taskworks import real_time as time
from taskworks.backends.shards import databases
from taskworks.dashboard.page_addresses import address_of_database
from taskworks.database.answers import Fault, fault_of, said_of
from taskworks.database.shards import using
from taskworks.logs import steady_logger
from taskworks.store import store_alias

ASKED_AGAIN_AFTER = 10.0  # seconds, or each page would wait for one that is silent
# What is wrong with databases, and when they were asked.
known_faults: dict[str, tuple[float, Fault]] = {}

logger = steady_logger(__name__)


class Tab(NamedTuple):
    """A database, and where its pages are."""

    alias: str
    address: str
    is_current: bool


class State(NamedTuple):
    """How a database is: how many problems it has, or why nobody knows, in a few words."""

    tab: Tab
    problems: int | None
    fault: str = ""


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
    return [_state(tab) for tab in tabs(request)]


def home(request: HttpRequest) -> str:
    """Return the address of the first page of the first database."""
    return address_of_database(request, None)


def _state(tab: Tab) -> State:
    from taskworks.dashboard.problems_shown import findings

    if not tab.is_current and (fault := _known_fault(tab.alias)):
        return State(tab, None, _in_words(fault))
    try:
        with using(tab.alias):
            found = findings()
    except TimeoutError:  # another thread still waits for it
        return State(tab, None, _in_words(Fault.SILENT))
    except DatabaseError as error:
        fault = fault_of(error)
        known_faults[tab.alias] = time.monotonic(), fault
        logger.warning("%s", said_of(tab.alias, error), exc_info=fault is Fault.FAILED)
        return State(tab, None, _in_words(fault))
    known_faults.pop(tab.alias, None)
    return State(tab, len(found.alarming))


def _known_fault(alias: str) -> Fault | None:
    since, fault = known_faults.get(alias, (0.0, None))
    return fault if time.monotonic() - since < ASKED_AGAIN_AFTER else None


def _in_words(fault: Fault) -> str:
    words = {
        Fault.SILENT: _("does not answer"),
        Fault.LATE: _("takes too long"),
        Fault.FAILED: _("answers with an error"),
    }
    return words[fault]
