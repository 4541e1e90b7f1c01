"""
Which runs the list of the admin looks through: an index of theirs, and, for what that does not
have, no more of it than a window. The dashboard searches further back.
"""

from typing import NamedTuple

from django.db.models import F
from django.db.models.functions import Coalesce

from taskworks.filtering import sources
from taskworks.filtering.sources import ended, unfinished
from taskworks.models import RunState
from taskworks.models.run import FINISHED, IN_HAND, TaskRunQuerySet
from taskworks.store import store


class Window(NamedTuple):
    """Runs in the order of the list, and which were searched, if not all were."""

    runs: TaskRunQuerySet
    searched: str = ""


def windowed(runs: TaskRunQuerySet, state: RunState | None, *, is_narrowed: bool) -> Window:
    """
    Return those of these runs, all in this ``state`` if there is one, that the list shows.
    ``is_narrowed`` says that they meet other conditions, too.
    """
    if state in FINISHED:
        shown = ended(runs, state).order_by("-state", "-finished_at", "-id")
        index = ended(store().runs, state)
        return _newest(shown, index, "finished_at") if is_narrowed else Window(shown)
    if state is not None and _are_few(state):
        return Window(_few(runs, state))
    is_searched = is_narrowed or state is not None
    return _newest(runs, store().runs.all(), "id") if is_searched else Window(runs)


def _newest(runs: TaskRunQuerySet, index: TaskRunQuerySet, key: str) -> Window:
    """Return those that are in the newest part of an index, which has this key."""
    size = sources.WINDOW
    if key == "finished_at" and store().connection.vendor == "mysql":
        # Those that have failed are far apart among the others, which InnoDB has by their ids.
        size = sources.ERRORS_WINDOW // sources.FEWER_ON_MYSQL
    keys = index.order_by(
        *(["-state", f"-{key}"] if key == "finished_at" else [f"-{key}"])
    ).values_list(key, flat=True)
    if not (last := [*keys[size - 1 : size]]):
        return Window(runs)
    return Window(runs.filter(**{f"{key}__gte": last[0]}), f"the newest {size:,}")


def _are_few(state: RunState) -> bool:
    parts = unfinished(store(), [state])
    return all(part[: sources.WINDOW + 1].count() <= sources.WINDOW for part in parts)


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
