"""The entries of the navigation, in their order."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from taskworks.dashboard.access import Access, Action
from taskworks.dashboard.page_addresses import address


class Entry(NamedTuple):
    """A page in the navigation: the name of its URL, its label, and who sees it."""

    name: str
    label: Any
    key: str  # that leads to it, after "g"
    action: Action = Action.SEE


ENTRIES = (
    Entry("overview", _("Overview"), "o"),
    Entry("runs", _("Runs"), "r"),
    Entry("failures", _("Failures"), "f"),
    Entry("queues", _("Queues"), "q"),
    Entry("workers", _("Workers"), "w"),
    Entry("schedules", _("Schedules"), "s"),
    Entry("workflows", _("Workflows"), "k"),
    Entry("limits", _("Limits"), "l"),
    Entry("new_run", _("New run"), "n", Action.RUN),
)


def entries(request: HttpRequest, access: Access, current: str) -> list[dict[str, Any]]:
    """Return the entries that exist and that the user may open; ``current`` is that of the page."""
    return [
        {
            "label": entry.label,
            "address": where,
            "key": entry.key,
            "is_current": entry.name == current,
        }
        for entry in ENTRIES
        if (where := address(request, entry.name)) and access.may(entry.action)
    ]
