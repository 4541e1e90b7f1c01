"""The values of a run (arguments, result, metadata, options) as a person may see them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from taskworks.dashboard.access import Access, Action
from taskworks.dashboard.redaction import redacted, redacted_argument
from taskworks.dashboard.runs.form_fields import as_json
from taskworks.dashboard.runs.rows import cut
from taskworks.database.fields import Unreadable
from taskworks.jsonvalue import printable
from taskworks.logs import one_line, visible
from taskworks.masking import masked_text, outline
from taskworks.models import RunState, TaskRun
from taskworks.reserved_metadata import OF_CHANGES, changes_of

MAX_SHOWN = 20_000  # characters on the page of a run; its text has all

PARTS = {
    "args": gettext_lazy("Positional arguments"),
    "kwargs": gettext_lazy("Keyword arguments"),
    "return_value": gettext_lazy("Result"),
    "metadata": gettext_lazy("Metadata"),
    "options": gettext_lazy("Options changed by using()"),
}


class Shown(NamedTuple):
    """A value of a run as text; ``is_cut`` if there is more of it."""

    part: str
    label: str
    text: str
    is_cut: bool
    note: str = ""


def values_of(run: TaskRun, access: Access) -> list[Shown]:
    """Return the values that are worth showing."""
    return [_shown(run, part, access) for part in _parts(run)]


def text_of(run: TaskRun, part: str, access: Access) -> str:
    """Return a value as the text of its JSON, of whatever length."""
    stored = getattr(run, part)
    if isinstance(stored, Unreadable):
        return _unreadable(stored, access, run)
    value = redacted(run, part)
    if part == "metadata" and isinstance(value, dict) and OF_CHANGES in value:
        value = {key: one for key, one in value.items() if key != OF_CHANGES}  # see changes_in
    if not access.may(Action.SEE_ARGUMENTS, run):
        value = outline(value)
    return visible(printable(json.dumps(value, indent=2, ensure_ascii=False, default=repr)))


class Change(NamedTuple):
    """An argument of a run that differs from that of the run which it repeats, as JSON."""

    name: str
    before: str
    after: str


def changes_in(run: TaskRun, access: Access) -> list[Change]:
    """Return which arguments of a run differ from those of the run that it repeats."""
    repeated = changes_of(run.metadata)
    if repeated is None:
        return []
    may_see = access.may(Action.SEE_ARGUMENTS, run)
    return [
        Change(one_line(cut(name)), *(_changed(run, name, one, may_see) for one in values))
        for name, *values in repeated.arguments
    ]


def _changed(run: TaskRun, name: str, value: Any, may_see: bool) -> str:
    value = redacted_argument(run, name, value)
    return one_line(cut(as_json(value if may_see else outline(value))))


def _parts(run: TaskRun) -> Iterator[str]:
    for part in PARTS:
        stored = getattr(run, part)
        is_empty = stored in ([], {}) and not isinstance(stored, Unreadable)
        if part == "return_value":
            is_empty = run.state != RunState.SUCCESSFUL
        if not is_empty:
            yield part


def _shown(run: TaskRun, part: str, access: Access) -> Shown:
    text = text_of(run, part, access)
    note = "" if access.may(Action.SEE_ARGUMENTS, run) else _("You may see only what kind it is.")
    if isinstance(getattr(run, part), Unreadable):
        note = _("Somebody has written this, which Taskworks would not write.")
    return Shown(part, str(PARTS[part]), text[:MAX_SHOWN], len(text) > MAX_SHOWN, note)


def _unreadable(stored: Any, access: Access, run: TaskRun) -> str:
    """Return what stands for it: secrets cannot be told from the rest of a text that is no JSON."""
    if not access.may(Action.SEE_ARGUMENTS, run):
        return _("(not what Taskworks would write)")
    return visible(printable(masked_text(str(stored.text))))
