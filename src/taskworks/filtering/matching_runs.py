"""Read the runs that a filter means: a page of the newest, or all of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from taskworks.filtering.run_filter import RunFilter
from taskworks.filtering.sources import (
    Key,
    Source,
    sources_by_id,
    sources_to_act_on,
    sources_to_show,
)
from taskworks.models import RunState, TaskRun
from taskworks.sentences import sentence
from taskworks.store import Store

READ_TO_DECIDE = 500  # runs at once, of those that have to be read
MAX_READ_TO_DECIDE = 2000  # for one page
READ_TO_ACT = 10_000  # runs at once


class Page(NamedTuple):
    """
    Runs, the newest first. ``after`` is the cursor of the next page, None on the last one;
    ``searched`` is, if not all runs have been searched, which have: "the newest 100,000 runs".
    """

    runs: list[TaskRun]
    after: str | None
    searched: str = ""


def page_of(
    store: Store,
    meant: RunFilter,
    *,
    after: str | None = None,
    limit: int = 50,
    columns: tuple[str, ...] = (),
) -> Page:
    """
    Return the newest runs that are meant, those that ended last first if all states of the filter
    are final, else those with the latest ids; those after this cursor, with these columns or all.
    A page may be empty and not be the last one: then what it says was searched, and no more.

    Raise ValueError for what is not a cursor of such a list.
    """
    fixed = shown(meant).at(store.read_clock())
    names = columns or tuple(field.name for field in TaskRun._meta.concrete_fields)
    sources = sources_to_show(store, fixed, ("id", "finished_at", *names))
    start = _key(after, is_by_end=sources[0].is_by_end) if after else None
    looks = [_Look(source, start, limit) for source in sources]
    found, horizon = _merged(sources, looks)
    if len(found) > limit:
        found = found[:limit]
        return Page(found, _cursor(sources[0].key(found[-1])))
    if horizon is None:
        return Page(found, None)
    return Page(found, _cursor(horizon), _searched(sources, looks, is_first=start is None))


class NewestRuns(NamedTuple):
    """Runs, those with the latest ids first, and how far was looked; None if to the end."""

    runs: list[TaskRun]
    searched_to: UUID | None


def newest_of(
    store: Store,
    meant: RunFilter,
    *,
    after: UUID | None = None,
    limit: int = 50,
    columns: tuple[str, ...] = (),
) -> NewestRuns:
    """
    Return up to ``limit`` runs that are meant, whose times are fixed, by their ids alone, which are
    less than ``after``. What the index does not have is looked for in one window.
    """
    sources = sources_by_id(store, meant, columns)
    start = Key(None, after) if after else None
    found, horizon = _merged(sources, [_Look(source, start, limit) for source in sources])
    if len(found) >= limit or horizon is None:
        return NewestRuns(found[:limit], None)
    return NewestRuns(found, horizon.id)


def all_of(
    store: Store, meant: RunFilter, before: datetime, columns: tuple[str, ...] = ()
) -> Iterator[list[TaskRun]]:
    """
    Yield all runs that are meant, the oldest first, some at a time, each once; without those that
    have been enqueued or have ended after ``before``. Nothing else limits how long this takes:
    it looks at every run in the states that the filter names, which it must.
    """
    assert meant.states, "an action names the states to which it applies"  # noqa: S101
    fixed = shown(meant).at(before)
    more = ("id", "state", "finished_at", "enqueued_at", *columns)
    for source in sources_to_act_on(store, fixed, before, more):
        for batch in source.batches(None, READ_TO_ACT):
            if runs := [run for run in batch.runs if _was_there(run, before)]:
                yield runs


def shown(meant: RunFilter) -> RunFilter:
    """Return the filter that is meant by one of failures without a state: that of failed runs."""
    is_of_failures = meant.errors or meant.group is not None
    return meant.but(states=(RunState.FAILED,)) if is_of_failures and not meant.states else meant


def _was_there(run: TaskRun, before: datetime) -> bool:
    """Return whether it was enqueued by then, and has not ended since: what ran again has."""
    return run.enqueued_at <= before and (run.finished_at is None or run.finished_at <= before)


class _Look:
    """What one source has for a page: the runs, and the key up to which it has looked, or None."""

    def __init__(self, source: Source, start: Key | None, limit: int) -> None:
        self.found: list[TaskRun] = []
        self.end: Key | None = None
        size = READ_TO_DECIDE if source.meant.is_read else limit + 1
        for number, batch in enumerate(source.batches(start, size), start=1):
            self.found += batch.runs
            is_costly = source.meant.is_read and number * size >= MAX_READ_TO_DECIDE
            if batch.ends_window or (is_costly and len(self.found) <= limit):
                self.end, self.is_window = batch.last, batch.ends_window
                return
            if len(self.found) > limit:
                return


def _merged(
    sources: Sequence[Source], looks: "Sequence[_Look]"
) -> tuple[list[TaskRun], Key | None]:
    """Return what was found, in order, and how far all have looked; None if to the end."""
    if len(looks) == 1:
        return looks[0].found, looks[0].end
    key = sources[0].key
    found = sorted(chain(*(look.found for look in looks)), key=key, reverse=True)
    horizon = max((look.end for look in looks if look.end is not None), default=None)
    return [run for run in found if horizon is None or key(run) >= horizon], horizon


def _searched(sources: Sequence[Source], looks: Sequence[_Look], *, is_first: bool) -> str:
    """Return which runs were searched."""
    if any(look.end is not None and not look.is_window for look in looks):
        newest, later = (
            _("the newest %(number)s that may match"),
            _("the next %(number)s that may match"),
        )
        return sentence(newest if is_first else later, number=MAX_READ_TO_DECIDE)
    newest, later = _("the newest %(number)s runs"), _("the next %(number)s runs")
    return sentence(newest if is_first else later, number=sources[0].window)


# Cursors.


def _cursor(key: Key) -> str:
    return f"{key.at.isoformat()}~{key.id}" if key.at else str(key.id)


def _key(cursor: str, *, is_by_end: bool) -> Key:
    moment, sign, run_id = cursor.rpartition("~")
    try:
        if bool(sign) != is_by_end:
            raise ValueError
        return Key(_stored(moment) if sign else None, UUID(run_id))
    except ValueError:
        raise ValueError(f"{cursor[:100]!r} is not a cursor of this list.") from None


def _stored(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if timezone.is_aware(moment) != settings.USE_TZ or not 1900 <= moment.year <= 9000:
        raise ValueError
    return moment
