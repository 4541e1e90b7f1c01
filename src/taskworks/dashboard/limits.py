"""Limits: how each is used, and its numbers, which may be changed."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from taskworks.actions import limits
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import ActionView, Page, Refused
from taskworks.dashboard.reading import read
from taskworks.models import Limit
from taskworks.models.pause import LIMIT, Scope
from taskworks.options.limits import NUMBERS, Number
from taskworks.store import store

MOST_LIMITS = 200  # on the page
TEXTS = ("rate", "total_rate")  # of the numbers; the others are integers
MOST_DIGITS = 20


class Row(NamedTuple):
    """A limit, how it is used, and what the user may do to it."""

    use: limits.Use
    pause: Any
    place: int
    may_change: bool

    @property
    def numbers(self) -> list[tuple[str, Any, Any]]:
        """Each number with its label."""
        labels = _labels()
        return [(name, labels[name], getattr(self.use.limit, name)) for name in NUMBERS]

    @property
    def changed(self) -> list[tuple[Any, Any]]:
        """What a person has changed, with what code declares."""
        labels = _labels()
        return [(labels.get(name, name), value) for name, value in self.use.limit.changed.items()]


class Limits(Page):
    entry = "limits"
    template = "limits.html"
    live_template = "limits_live.html"

    def title(self) -> str:
        return _("Limits")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        found = read(lambda: limits.uses_of(store().limits.order_by("name")[: MOST_LIMITS + 1]))
        uses = found.value or []
        pauses = read(lambda: [*store().pauses.in_force().filter(kind=LIMIT)[:MOST_LIMITS]])
        paused = {pause.scope: pause for pause in pauses.value or ()}
        rows = [
            Row(
                use,
                paused.get(Scope(LIMIT, use.limit.name)),
                place,
                use.limit.declared is not None and self.access.may(Action.CHANGE_LIMIT, use.limit),
            )
            for place, use in enumerate(uses[:MOST_LIMITS])
        ]
        return {
            "rows": rows,
            "has_actions": any(row.may_change for row in rows),
            "has_more": len(uses) > MOST_LIMITS,
            "most": MOST_LIMITS,
            "problems": [*filter(None, [found.problem, pauses.problem])],
        }


class ChangeLimit(ActionView):
    """Changes the numbers of the limit that the form names, as far as they differ."""

    action = Action.CHANGE_LIMIT
    leads_to = "limits"

    def act(self, **ids: Any) -> str:
        given = self.request.POST
        limit = store().limits.filter(name=given.get("limit", "")).first()
        if limit is None:
            raise Refused(_("There is no such limit."))
        self.access.demand(self.action, limit)
        numbers = {name: _number(name, given[name]) for name in NUMBERS if name in given}
        changed = {name: n for name, n in numbers.items() if n != getattr(limit, name)}
        if not changed:
            raise Refused(_("No number was changed."))
        limits.change(limit.name, changed)
        words = ", ".join(f"{name} {number}" for name, number in changed.items())
        self.record(limit, f"changed: {words}")
        return _("The limit %(limit)s is changed.") % {"limit": limit.name}


def _labels() -> dict[str, Any]:
    """Return what people call the numbers."""
    fields: dict[str, Any] = {field.name: field for field in Limit._meta.get_fields()}
    return {name: fields[name].verbose_name for name in NUMBERS}


def _number(name: str, text: str) -> Number:
    text = text.strip()
    if not text:
        return None
    if name in TEXTS:
        return text
    if len(text) <= MOST_DIGITS and text.isascii() and text.isdigit():
        return int(text)
    raise Refused(_("%(text)s is not a whole number.") % {"text": repr(text[:100])})
