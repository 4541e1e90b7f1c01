"""What can be done to runs on the dashboard: by whom, to which, and what it is called."""

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy

from taskworks.actions.verbs import Verb
from taskworks.dashboard.access import Access, Action
from taskworks.filtering import RunFilter

ACTION_OF = {
    Verb.RETRY: Action.RETRY,
    Verb.CANCEL: Action.CANCEL,
    Verb.RUN_NOW: Action.MOVE,
    Verb.MOVE: Action.MOVE,
    Verb.DELETE: Action.DELETE,
}
LABELS: dict[Verb, Any] = {
    Verb.RETRY: gettext_lazy("Retry"),
    Verb.CANCEL: gettext_lazy("Cancel"),
    Verb.RUN_NOW: gettext_lazy("Run now"),
    Verb.MOVE: gettext_lazy("Move"),
    Verb.DELETE: gettext_lazy("Delete"),
}


class Offered(NamedTuple):
    value: str
    label: str


def offered_for(meant: RunFilter | None, access: Access) -> list[Offered]:
    """Return what this person may do to runs, as far as it applies to some that are meant."""
    states = meant.states if meant else ()
    return [
        Offered(verb.value, str(label))
        for verb, label in LABELS.items()
        if access.may(ACTION_OF[verb]) and (not states or {*states} & {*verb.states})
    ]
