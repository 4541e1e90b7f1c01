"""Retry, mute and annotate groups of failures, for a person."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from typing import Any, NamedTuple

from taskworks.actions import bulk
from taskworks.actions.texts import refuse_bad_text
from taskworks.actions.until import Until, stored_end
from taskworks.actions.verbs import Action, Done, Verb
from taskworks.backends.shards import in_each, prepared_in_each
from taskworks.chunks import in_chunks
from taskworks.conf import nearest
from taskworks.filtering import RunFilter
from taskworks.jsonvalue import printable
from taskworks.models import FailureGroup
from taskworks.models.failure import FailureGroupQuerySet
from taskworks.store import store

MAX_COUNTED = 1000  # runs of one group
MAX_COUNTED_OF_EACH = 200  # of several
GROUPS_PER_STATEMENT = 100
MAX_NOTE = 10_000  # characters


class Retried(NamedTuple):
    """How many runs of a group were retried, and how many could not be, with one reason."""

    retried: int
    not_applicable: int
    reason: str = ""


class Seen(NamedTuple):
    """A group, and how many of its runs are failed now, as far as they were counted."""

    group: FailureGroup
    open: int
    is_capped: bool = False  # there are that many, or more

    @property
    def open_in_words(self) -> str:
        """The number, which may be too small."""
        return f"{self.open} or more" if self.is_capped else str(self.open)


def group_of(fingerprint: str) -> FailureGroup:
    """Return the group; raise ValueError if there is none."""
    group = _named(fingerprint).first()
    if group is None:
        raise _unknown(fingerprint)
    return group


def _unknown(fingerprint: str) -> ValueError:
    known = [*_groups().order_by("-last_at").values_list("fingerprint", flat=True)[:100]]
    hint = nearest(str(fingerprint), known) if known else ""
    return ValueError(f"There is no group of failures {fingerprint!r}.{hint}")


def latest(limit: int, *, muted: bool = False) -> list[Seen]:
    """
    Return groups, those seen last first, with or without those that are muted. Of each,
    MAX_COUNTED_OF_EACH failed runs are counted.
    """
    groups = _groups() if muted else _groups().unmuted()
    return _seen([*groups.order_by("-last_at", "fingerprint")[:limit]], MAX_COUNTED_OF_EACH)


def seen(group: FailureGroup) -> Seen:
    """Return the group with how many of its runs are failed now, of these MAX_COUNTED at most."""
    [one] = _seen([group], MAX_COUNTED)
    return one


def _seen(groups: Sequence[FailureGroup], most: int) -> list[Seen]:
    found: list[Seen] = []
    for some in in_chunks(groups, GROUPS_PER_STATEMENT):
        counts = store().count_open([group.fingerprint for group in some], most)
        counted = ((group, counts[group.fingerprint]) for group in some)
        found += [Seen(group, number, number == most) for group, number in counted]
    return found


def retry(fingerprint: str, *, within: timedelta | None = None, by: Any = "") -> Retried:
    """
    Make the failed runs of a group ready again, each as ``run_actions.retry`` does; only those that
    failed ``within`` this time, if it is given. A run that fails again is not retried again.

    Record that ``by`` has done so. Raise ValueError if there is no such group.
    """
    meant = RunFilter(group=fingerprint, since=within)

    def retried() -> Done | None:
        is_here = _named(fingerprint).exists()
        return bulk.carry_out(Action(Verb.RETRY), meant, by) if is_here else None

    some = [done for done in in_each(retried) if done is not None]
    if not some:
        raise _unknown(fingerprint)
    done = reduce(Done.plus, some)
    return Retried(done.done, done.not_applicable, done.reason)


def mute(fingerprint: str, until: Until) -> FailureGroup:
    """Leave a group out of lists until then; None ends that. Raise ValueError for no group."""
    return _changed(fingerprint, lambda: {"muted_until": stored_end(until)})


def annotate(fingerprint: str, note: str) -> FailureGroup:
    """Write a note for people, in place of the one before. Raise ValueError for no group."""
    refuse_bad_text("note", note, MAX_NOTE)
    return _changed(fingerprint, lambda: {"note": note})


def _changed(fingerprint: str, columns: Callable[[], Mapping[str, Any]]) -> FailureGroup:
    """Write these columns in each database that has the group, and return the first one's row."""

    def written(columns: Mapping[str, Any]) -> FailureGroup | None:
        rows = _named(fingerprint)
        return rows.first() if rows.update(**columns) else None

    for group in prepared_in_each(columns, written):
        if group is not None:
            return group
    raise _unknown(fingerprint)


def _named(fingerprint: str) -> FailureGroupQuerySet:
    """Return the group with this fingerprint, or none, also if no database stores such a text."""
    return _groups().filter(fingerprint=printable(str(fingerprint)))


def _groups() -> FailureGroupQuerySet:
    return FailureGroup.objects.using(store().alias)
