"""The list of runs: tabs of states, a search, and a page of rows."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from taskworks.backends.shards import backends_here
from taskworks.dashboard.page import Page
from taskworks.dashboard.reading import Read, read
from taskworks.dashboard.runs.deeds import offered_for
from taskworks.dashboard.runs.meant import Meant, Texts, meant_by, typed_in
from taskworks.dashboard.runs.rows import COLUMNS, Row, rows_of
from taskworks.dashboard.runs.search_text import MAX_LENGTH, BadSearch, chip
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import KEPT_FOR, MOST_COUNTED
from taskworks.dashboard.tags import capped
from taskworks.filtering import RunFilter
from taskworks.filtering.matching_runs import page_of
from taskworks.models import RunState
from taskworks.store import store
from taskworks.timetables.choices import offered

PAGE_SIZE = 50
MAX_SUGGESTED = 200  # names of tasks and of queues

ORDER = (
    RunState.RUNNING,
    RunState.CLAIMED,
    RunState.READY,
    RunState.SCHEDULED,
    RunState.BLOCKED,
    RunState.FAILED,
    RunState.CANCELLED,
    RunState.SUCCESSFUL,
)
# Marked for translation here, and translated when it is shown.
NARROWER = gettext_noop("Search for less: a state, a task, or a shorter time.")
RETRYING: Texts = {"state": ["scheduled"], "attempts": ["1"]}
# Conditions with a field of their own in the form, and what they are called there.
FIELDS: dict[str, Any] = {
    "task": gettext_lazy("Task"),
    "queue": gettext_lazy("Queue"),
    "backend": gettext_lazy("Backend"),
    "worker": gettext_lazy("Worker"),
    "schedule": gettext_lazy("Schedule"),
    "workflow": gettext_lazy("Workflow"),
    "owner": gettext_lazy("Owner"),
    "group": gettext_lazy("Group of failures"),
    "since": gettext_lazy("Since"),
    "until": gettext_lazy("Until"),
    "enqueued-since": gettext_lazy("Enqueued since"),
    "enqueued-until": gettext_lazy("Enqueued until"),
    "took": gettext_lazy("Took at least"),
    "attempts": gettext_lazy("Attempts, at least"),
    "arg": gettext_lazy("Argument"),
    "error": gettext_lazy("Text in the error"),
    "id": gettext_lazy("Id"),
}
HINTS = {
    "task": "shop.tasks.pay",
    "since": "2h",
    "until": "2026-11-30T12:00",
    "took": "30s",
    "attempts": "2",
    "arg": "order.country=CH",
}


class Tab(NamedTuple):
    label: str
    number: str
    address: str
    is_current: bool


class Chip(NamedTuple):
    """A condition, and the address of the list without it."""

    text: str
    address: str


class Field(NamedTuple):
    """A field of the form, for one value of a condition; of several, each has one."""

    name: str
    label: str
    value: str
    hint: str

    @property
    def html_id(self) -> str:
        return f"id_filter_{self.name}"


class RunsPage(Page):
    entry = "runs"
    template = "runs/list.html"
    live_template = "runs/list_live.html"

    def title(self) -> str:
        return _("Runs")

    def get(self, request: HttpRequest, **ids: Any) -> HttpResponse:
        with suppress(BadSearch):  # the page says why
            if (texts := typed_in(request.GET)) is not None:
                return HttpResponseRedirect(self.address("runs", **texts))
        return super().get(request, **ids)

    def context(self, **ids: Any) -> Mapping[str, Any]:
        query = self.request.GET
        meant = meant_by(query, self.access)
        problems = [*self._of_search(), *meant.problems]
        found: Mapping[str, Any] = {}
        if meant.filter is not None and not problems:
            found = self._found(meant.filter, meant.texts)
        return {
            "typed": query.get("q", "")[:MAX_LENGTH],
            "problems": problems,
            "tabs": [*self._tabs(meant)],
            "chips": [*self._chips(meant)],
            "fields": [*_fields(meant)],
            "buttons": offered_for(meant.filter, self.access),
            "states": meant.texts.get("state", []),
            "every_state": ORDER,
            "is_filtered": bool(meant.texts.keys() - {"state"}),
            "suggested": {} if self.is_fragment else _suggested(),
            "all_matching": self.address("runs_matching", **meant.texts),
            "first": self.address("runs", **meant.texts) if "after" in query else "",
            "clear": self.address("runs"),
            **found,
        }

    def _of_search(self) -> list[str]:
        try:
            typed_in(self.request.GET)
        except BadSearch as error:
            return [str(error)]
        return []

    def _found(self, wanted: RunFilter, texts: Texts) -> Mapping[str, Any]:
        """Return the rows, and where there are more; or why there are none."""
        after = self.request.GET.get("after") or None
        try:
            found = read(lambda: self._read(wanted, after))
        except ValueError as error:  # of what is not a cursor
            return {"problems": [str(error)]}
        if found.value is None:
            return {"problems": [found.problem, _(NARROWER)]}
        page, now, rows = found.value
        more = self.address("runs", **texts, after=page.after) if page.after else ""
        return {"rows": rows, "now": now, "searched": page.searched, "more": more, "is_found": True}

    def _read(self, wanted: RunFilter, after: str | None) -> tuple[Any, datetime, list[Row]]:
        page = page_of(store(), wanted, after=after, limit=PAGE_SIZE, columns=COLUMNS)
        now = store().read_clock()
        return page, now, rows_of(store(), page.runs, self.access, now)

    def _tabs(self, meant: Meant) -> Iterator[Tab]:
        counts = counted()
        is_of_retrying = _is_of_retrying(meant.texts)
        texts = meant.but(attempts=None) if is_of_retrying else meant.texts
        states = None if is_of_retrying else texts.get("state", [])
        texts = {name: some for name, some in texts.items() if name != "state"}
        yield Tab(_("All"), "", self.address("runs", **texts), states == [])
        for state in ORDER:
            count = capped(counts[state]) if counts else ""
            where = self.address("runs", state=[state.value], **texts)
            yield Tab(str(state.label), str(count), where, states == [state.value])
            if state == RunState.SCHEDULED:
                where = self.address("runs", **{**texts, **RETRYING})
                yield Tab(_("Retrying"), "", where, is_of_retrying)

    def _chips(self, meant: Meant) -> Iterator[Chip]:
        for name, texts in meant.texts.items():
            for text in texts:
                yield Chip(chip(name, text), self.address("runs", **meant.without(name, text)))


_counts = Shared(lambda: read(lambda: store().count_states(MOST_COUNTED + 1)), KEPT_FOR)


def counted() -> Mapping[RunState, int] | None:
    """Return how many runs are in each state, or were two seconds ago; None if it is not known."""
    found = _counts.get()
    return found.value if isinstance(found, Read) else None


def forget_counts() -> None:
    """Count anew for the next page, so that whoever has acted sees it."""
    _counts.forget()


def _is_of_retrying(texts: Texts) -> bool:
    return all(texts.get(name) == some for name, some in RETRYING.items())


def _fields(meant: Meant) -> Iterator[Field]:
    for name, label in FIELDS.items():
        for value in meant.texts.get(name, []) or [""]:
            yield Field(name, str(label), value, HINTS.get(name, ""))


def _suggested() -> dict[str, list[str]]:
    """Return names for the form, from code and settings: no table is read for them."""
    queues = {name for backend in backends_here() for name in backend.queues}
    return {
        "task": [*offered()][:MAX_SUGGESTED],
        "queue": sorted(queues)[:MAX_SUGGESTED],
        "backend": [backend.alias for backend in backends_here()],
    }
