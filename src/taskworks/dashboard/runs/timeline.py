"""What a run has gone through, as a row of phases: its waits, its attempts, and what they took."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from taskworks.database.clock import as_aware
from taskworks.database.fields import Unreadable
from taskworks.logs import one_line
from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED

MAX_ATTEMPTS = 200  # the latest
WIDTH = 1000  # of the drawing, in its own units
THINNEST = 3  # that still can be seen
SAME = timedelta(milliseconds=1)  # two records of one beginning


class PhaseKind(StrEnum):
    """What a phase is; the style sheet knows these."""

    HELD = "held"  # until its time, or until what it follows has ended
    WAITING = "waiting"  # for a worker
    CLAIMED = "claimed"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    RETRY = "retry"  # a wait between two attempts


class Phase(NamedTuple):
    """A time in the life of a run; without an ``until`` it goes on."""

    kind: PhaseKind
    label: str
    since: datetime
    until: datetime | None
    took: timedelta
    detail: str = ""
    left: int = 0  # of the drawing, from 0 to WIDTH
    width: int = THINNEST


class Moment(NamedTuple):
    """A time that the record names."""

    label: str
    at: datetime


class Timeline(NamedTuple):
    phases: list[Phase]
    moments: list[Moment]
    earlier: int  # attempts that are left out

    @property
    def took(self) -> timedelta:
        """From its first phase to its last one."""
        return sum((phase.took for phase in self.phases), timedelta())


def timeline_of(run: TaskRun, now: datetime) -> Timeline:
    """Return what is known of a run, at this time of the database, whatever its columns hold."""
    attempts = _attempts(run)
    shown = attempts[-MAX_ATTEMPTS:]
    phases = [*_phases(run, shown, _aware(now))]
    return Timeline(_drawn(phases), [*_moments(run)], len(attempts) - len(shown))


class _Attempt(NamedTuple):
    number: Any
    began: datetime | None
    ended: datetime | None  # None: it has not
    kind: PhaseKind
    said: str

    @property
    def is_open(self) -> bool:
        """Whether it has ended without an outcome: with its worker, or given back, or to wait."""
        return self.ended is None and self.kind == PhaseKind.RETRY

    def has_begun(self, at: datetime) -> bool:
        """Whether this is the attempt that was executed then."""
        if self.began is None:
            return False
        if abs(at - self.began) <= SAME:
            return True
        return self.ended is not None and self.began <= at <= self.ended


def _attempts(run: TaskRun) -> list[_Attempt]:
    """Return those that the record still tells of, the earliest first."""
    attempts = [*_with_outcomes(run)]
    for began in (_aware(run.started_at), _aware(run.last_attempted_at)):
        if began is not None and not any(one.has_begun(began) for one in attempts):
            later = [_is_after(one, began) for one in attempts]
            place = later.index(True) if True in later else len(attempts)
            attempts.insert(place, _Attempt(None, began, None, PhaseKind.RETRY, ""))
    if attempts and attempts[-1].is_open and run.state in FINISHED:
        attempts.pop()  # it ended with the run
    return attempts


def _is_after(attempt: _Attempt, at: datetime) -> bool:
    known = attempt.began or attempt.ended
    return known is not None and known > at


def _with_outcomes(run: TaskRun) -> Iterator[_Attempt]:
    for entry in _errors(run):
        yield _Attempt(
            entry["attempt"],
            _parsed(entry.get("began")),
            _parsed(entry["at"]),
            PhaseKind.FAILED,
            _name_of(entry["exception_class_path"]),
        )
    began = _aware(run.last_attempted_at)
    if began is None:
        return
    if run.state == RunState.SUCCESSFUL:
        yield _Attempt(run.attempts, began, _aware(run.finished_at), PhaseKind.SUCCESSFUL, "")
    elif run.state == RunState.RUNNING:
        yield _Attempt(run.attempts, began, None, PhaseKind.RUNNING, "")


def _phases(run: TaskRun, attempts: list[_Attempt], now: datetime | None) -> Iterator[Phase]:
    """Yield one after another; a time that is missing or out of order makes its phase short."""
    at = start = _aware(run.enqueued_at)
    for number, attempt in enumerate(attempts):
        began = attempt.began or attempt.ended
        before = attempts[number - 1] if number else None
        if at is not None and began is not None:
            yield from _before(run, at, began, before, attempt, start=start)
        if attempt.began is not None and not attempt.is_open:
            yield _attempted(attempt, attempt.began, now)
        at = attempt.began if attempt.is_open else attempt.ended
    if at is not None and now is not None and run.state not in (*FINISHED, RunState.RUNNING):
        yield from _waits(run, at, now, attempts[-1] if attempts else None)


def _before(
    run: TaskRun,
    since: datetime,
    until: datetime,
    before: _Attempt | None,
    attempt: _Attempt,
    *,
    start: datetime | None,
) -> Iterator[Phase]:
    """Yield the wait before an attempt: until it was due, and for a worker after that."""
    if before is not None:
        ended_first = before.is_open and attempt.began is None
        label = _("Attempt without an outcome, and a wait") if ended_first else _again(before)
        yield _phase(PhaseKind.RETRY, label, since, until)
        return
    due = _aware(run.run_after)
    if start is not None and due is not None and start < due < until:
        yield _phase(PhaseKind.HELD, _("Waits for its time"), since, due)
        since = due
    yield _phase(PhaseKind.WAITING, _("Waits for a worker"), since, until)


def _attempted(attempt: _Attempt, began: datetime, now: datetime | None) -> Phase:
    label = _("Attempt %(number)s") % {"number": attempt.number}
    until = attempt.ended or now
    phase = _phase(attempt.kind, label, began, until, attempt.said)
    return phase if attempt.ended else phase._replace(until=None)


def _again(before: _Attempt) -> str:
    """Return what comes after an attempt. When one has ended that has no outcome is not known."""
    if before.is_open:
        return _("Attempt without an outcome, and the wait for the next")
    return _("Waits for its next attempt")


def _waits(
    run: TaskRun, since: datetime, now: datetime, before: _Attempt | None
) -> Iterator[Phase]:
    """Yield what an unfinished run that is not executed waits for now."""
    due = _aware(run.available_at)
    match run.state:
        case RunState.BLOCKED | RunState.SCHEDULED if before is not None and before.is_open:
            yield _open(PhaseKind.RETRY, _again(before), since, now)
        case RunState.BLOCKED:
            yield _open(PhaseKind.HELD, _("Waits for others"), since, now)
        case RunState.SCHEDULED if before is None:
            yield _open(PhaseKind.HELD, _("Waits for its time"), since, now)
        case RunState.SCHEDULED:
            yield _open(PhaseKind.RETRY, _("Waits for its next attempt"), since, now)
        case _:
            if due is not None and since < due < now:
                kind = PhaseKind.HELD if before is None else PhaseKind.RETRY
                label = _("Waits for its time") if before is None else _again(before)
                yield _phase(kind, label, since, due)
                since, before = due, None
            kind, label = PhaseKind.WAITING, _("Waits for a worker")
            if before is not None and before.is_open:
                kind, label = PhaseKind.RETRY, _again(before)
            claimed = _aware(run.claimed_at) if run.state == RunState.CLAIMED else None
            if claimed is not None and since <= claimed <= now:
                yield _phase(kind, label, since, claimed)
                yield _open(PhaseKind.CLAIMED, _("Claimed, about to begin"), claimed, now)
            else:
                yield _open(kind, label, since, now)


def _phase(
    kind: PhaseKind, label: str, since: datetime, until: datetime | None, detail: str = ""
) -> Phase:
    took = max((until or since) - since, timedelta())
    return Phase(kind, label, since, until, took, detail)


def _open(kind: PhaseKind, label: str, since: datetime, now: datetime) -> Phase:
    return _phase(kind, label, since, now)._replace(until=None)


def _drawn(phases: list[Phase]) -> list[Phase]:
    """Return the phases with their places in the drawing, one after another."""
    seconds = [phase.took.total_seconds() for phase in phases]
    total, before, drawn = sum(seconds), 0.0, []
    for phase, took in zip(phases, seconds, strict=True):
        left = int(WIDTH * before / total) if total else 0
        width = max(int(WIDTH * took / total) if total else 0, THINNEST)
        drawn.append(phase._replace(left=min(left, WIDTH - THINNEST), width=width))
        before += took
    return drawn


MOMENTS = {
    "enqueued_at": gettext_lazy("Enqueued"),
    "run_after": gettext_lazy("Not before"),
    "available_at": gettext_lazy("Due"),
    "expires_at": gettext_lazy("Expires"),
    "claimed_at": gettext_lazy("Claimed"),
    "started_at": gettext_lazy("First attempt"),
    "last_attempted_at": gettext_lazy("Latest attempt"),
    "missing_since": gettext_lazy("Code missing since"),
    "cancel_requested_at": gettext_lazy("Asked to stop"),
    "finished_at": gettext_lazy("Finished"),
}


def _moments(run: TaskRun) -> Iterator[Moment]:
    for column, label in MOMENTS.items():
        if (at := getattr(run, column)) is not None:
            yield Moment(str(label), at)


def earlier_in_words(timeline: Timeline) -> str:
    """Return how many attempts are left out, in words; "" if none is."""
    if not timeline.earlier:
        return ""
    text = ngettext(
        "%(count)s earlier attempt is not shown.",
        "%(count)s earlier attempts are not shown.",
        timeline.earlier,
    )
    return text % {"count": timeline.earlier}


def _errors(run: TaskRun) -> list[dict[str, Any]]:
    return [] if isinstance(run.errors, Unreadable) else run.errors


def _name_of(path: str) -> str:
    return one_line(path.rpartition(".")[2])


def _parsed(text: Any) -> datetime | None:
    with suppress(TypeError, ValueError):
        return _aware(datetime.fromisoformat(text))
    return None


def _aware(moment: datetime | None) -> datetime | None:
    with suppress(OverflowError):  # in the first or last day of all
        return None if moment is None else as_aware(moment)
    return None
