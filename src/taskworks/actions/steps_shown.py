"""The steps and events of a run, as people see them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import models
from django.db.models.functions import Left, Length
from django.utils.translation import gettext_noop as _

from taskworks.database.clock import as_aware
from taskworks.models import TaskRun
from taskworks.sentences import Sentence, counted, moment_in_words, sentence
from taskworks.steps.requests import RecordKind
from taskworks.store import Store

MAX_STEPS_SHOWN = 1000  # of each kind
MAX_VALUE_SHOWN = 200  # characters
FOR_GOOD = timedelta(days=9 * 366)  # a run that is due after this waits without a timeout


class StepShown(NamedTuple):
    """A step, a sleep or an event of a run. Its JSON keys are public: do not rename them."""

    kind: str  # step, sleep or event
    name: str
    state: str  # recorded; sleeping, over; waiting, sent, timed out
    at: datetime | None  # when it ended, or will
    value: str | None  # the beginning of its JSON

    @property
    def in_words(self) -> str:
        """A line for people."""
        at = f" {moment_in_words(self.at)}" if self.at else ""
        value = f": {self.value}" if self.value is not None else ""
        return f"{self.kind} {self.name!r}, {self.state}{at}{value}"


def of(store: Store, run: TaskRun) -> list[StepShown]:
    """Return what the run has recorded, in the order of time, then what it waits for."""
    shown = [*_records(store, run), *_events(store, run)]
    return sorted(shown, key=lambda one: (one.state == "waiting", *_sort_key(one)))


def suspended(store: Store, run: TaskRun) -> Sentence | None:
    """Return, in a sentence, for what a scheduled run waits; None if it does not sleep or wait."""
    at = run.available_at
    if at is None:  # somebody has written nonsense into the row
        return None
    open_events = store.events.filter(run=run.id, ended_at=None)
    is_for_good = _is_after(at, store.read_clock() + FOR_GOOD)
    names = [
        name
        for name, until in open_events.order_by("name").values_list("name", "until")
        if is_for_good or (until is not None and not _is_after(until, at))
    ]
    if names:
        return _waits_for(names, None if is_for_good else moment_in_words(at))
    sleeps = store.step_records.filter(run=run.id, kind=RecordKind.SLEEP, ended_at__lte=at)
    asleep = sleeps.filter(ended_at__gt=at - timedelta(seconds=60)).order_by("-ended_at").first()
    if asleep is None:
        return None
    return sentence(
        _("It sleeps in %(name)s, until %(time)s."),
        name=repr(asleep.name),
        time=moment_in_words(at),
    )


def _waits_for(names: list[str], until: str | None) -> Sentence:
    listed = ", ".join(map(repr, names))
    if until is None:
        for_good = _("It waits for the event %(names)s."), _("It waits for the events %(names)s.")
        return counted(len(names), *for_good, names=listed)
    return counted(
        len(names),
        _("It waits for the event %(names)s, until %(time)s."),
        _("It waits for the events %(names)s, until %(time)s."),
        names=listed,
        time=until,
    )


def _records(store: Store, run: TaskRun) -> Iterator[StepShown]:
    now = store.read_clock()
    for name, kind, at, value in _cut(store.step_records.filter(run=run.id), "kind"):
        if kind == RecordKind.SLEEP:
            state = "sleeping, until" if _is_after(at, now) else "over since"
            yield StepShown(kind, name, state, at, None)
        else:
            yield StepShown(kind, name, "recorded", at, value)


def _events(store: Store, run: TaskRun) -> Iterator[StepShown]:
    events = store.events.filter(run=run.id)
    until = dict(events.filter(ended_at=None).values_list("name", "until")[:MAX_STEPS_SHOWN])
    for name, is_sent, at, value in _cut(events, "is_sent"):
        if at is None:
            yield StepShown("event", name, "waiting", until.get(name), None)
        elif is_sent:
            yield StepShown("event", name, "sent", at, "null" if value is None else value)
        else:
            yield StepShown("event", name, "timed out", at, None)


def _cut(rows: Any, column: str) -> Iterator[tuple[str, Any, datetime | None, str | None]]:
    """Read the rows without more of their values than is shown."""
    text = models.TextField()
    short = Left("value", MAX_VALUE_SHOWN, output_field=text)
    annotated = rows.annotate(short=short, size=Length("value")).order_by("ended_at", "name")
    columns = annotated.values_list("name", column, "ended_at", "short", "size")
    for name, other, at, value, size in columns[:MAX_STEPS_SHOWN]:
        is_cut = value is not None and size > MAX_VALUE_SHOWN
        yield name, other, at, f"{value}… ({size:,} bytes)" if is_cut else value


def _sort_key(one: StepShown) -> tuple[Any, str]:
    return (as_aware(one.at).timestamp() if one.at else float("inf")), one.name


def _is_after(moment: datetime | None, other: datetime) -> bool:
    return moment is not None and as_aware(moment) > as_aware(other)
