"""
Which runs the list of the admin looks through: an index of theirs, and, for what that does not
have, no more than a window. The dashboard searches further back.
"""

from typing import Any, NamedTuple

from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from taskworks.filtering import sources
from taskworks.filtering.sources import ended, unfinished
from taskworks.models import RunState
from taskworks.models.run import FINISHED, IN_HAND, LANE_ORDER, LIMITED_ORDER, TaskRunQuerySet
from taskworks.store import store


class Window(NamedTuple):
    """Runs in the order of the list, and a sentence that says which were searched, if not all."""

    runs: TaskRunQuerySet
    searched: str = ""


def windowed(runs: TaskRunQuerySet, state: RunState | None, *, is_narrowed: bool) -> Window:
    """
    Return those of these runs, all in this ``state`` if there is one, that the list shows.
    ``is_narrowed`` says that they meet conditions that no index has, too.
    """
    if state in FINISHED:
        shown = ended(runs, state).order_by("-state", "-finished_at", "-id")
        return _ended_last(shown, state) if is_narrowed else Window(shown)
    if state is None:
        return _newest(runs) if is_narrowed else Window(runs)
    if _are_few(state):
        return Window(_few(runs, state))
    if is_narrowed or state in IN_HAND:
        return _newest(runs, state)
    return _next_ready(runs) if state == RunState.READY else _next_due(runs, state)


def _ended_last(runs: TaskRunQuerySet, state: RunState) -> Window:
    size = sources.WINDOW
    if store().connection.vendor == "mysql":
        # Those that have failed are far apart among the others, which InnoDB has by their ids.
        size = sources.ERRORS_WINDOW // sources.FEWER_ON_MYSQL
    index = ended(store().runs, state).order_by("-state", "-finished_at")
    if not (last := [*index.values_list("finished_at", flat=True)[size - 1 : size]]):
        return Window(runs)
    searched = {
        RunState.SUCCESSFUL: _(
            "Only the %(number)s successful task runs that ended last were searched."
        ),
        RunState.FAILED: _("Only the %(number)s failed task runs that ended last were searched."),
        RunState.CANCELLED: _(
            "Only the %(number)s cancelled task runs that ended last were searched."
        ),
    }[state]
    return Window(runs.filter(finished_at__gte=last[0]), searched % {"number": _shown(size)})


def _next_ready(runs: TaskRunQuerySet) -> Window:
    """Return them as their index has them, which is not by their ids: those would all be read."""
    said = _(
        "More than %(number)s task runs are in the state %(state)s; they are listed in the order "
        "in which workers take them, queue by queue."
    )
    sentences = [said % _numbers(RunState.READY)]
    if not runs.has_partial_indexes:  # there is one index of both kinds
        return Window(runs.order_by(*LIMITED_ORDER), *sentences)
    ready = store().runs.ready()
    if _is_small(ready.unlimited()):
        if ready.unlimited().exists():
            sentences.append(_("Only those with a limit are listed."))
        return Window(runs.limited().order_by(*LIMITED_ORDER), " ".join(sentences))
    if ready.limited().exists():
        sentences.append(_("Those with a limit are not listed."))
    return Window(runs.unlimited().order_by(*LANE_ORDER), " ".join(sentences))


def _next_due(runs: TaskRunQuerySet, state: RunState) -> Window:
    said = _(
        "More than %(number)s task runs are in the state %(state)s; they are listed in the order "
        "in which they are due."
    )
    return Window(runs.order_by("available_at", "id"), said % _numbers(state))


def _newest(runs: TaskRunQuerySet, state: RunState | None = None) -> Window:
    """Return those that are among the newest of all, because too many are in their state."""
    size = sources.WINDOW
    index = store().runs.order_by("-id")
    if not (last := [*index.values_list("id", flat=True)[size - 1 : size]]):
        return Window(runs)
    searched = _("Only the newest %(number)s task runs were searched.")
    if state is not None:
        searched = _(
            "Only the newest %(number)s task runs, in whatever state, were searched, because more "
            "than %(number)s are in the state %(state)s; the others of these are not shown."
        )
    return Window(runs.filter(id__gte=last[0]), searched % _numbers(state))


def _numbers(state: RunState | None) -> dict[str, Any]:
    return {"number": _shown(sources.WINDOW), "state": state.label if state else ""}


def _shown(number: int) -> str:
    return number_format(number, force_grouping=True)


def _are_few(state: RunState) -> bool:
    return all(map(_is_small, unfinished(store(), [state])))


def _is_small(runs: TaskRunQuerySet) -> bool:
    return runs[: sources.WINDOW + 1].count() <= sources.WINDOW


def _few(runs: TaskRunQuerySet, state: RunState) -> TaskRunQuerySet:
    """Return them as the indexes of their state have them, sorted."""
    # By an expression, so that no database reads the index of all ids instead.
    ordered = runs.order_by(Coalesce(F("id"), F("id")).desc())
    if state in IN_HAND:
        return ordered.in_hand()
    if state != RunState.READY:
        return ordered
    ready = store().runs.ready()
    if not ready.limited().exists():  # SQLite reads only one partial index for a statement
        return ordered.unlimited()
    return ordered.unlimited() | ordered.limited()
