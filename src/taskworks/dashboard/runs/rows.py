"""The rows of a list of runs: what each says in one line, as people may see it."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Case, F, IntegerField, Value, When
from django.db.models.functions import Length
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext as _

from taskworks.dashboard.access import Access, Action
from taskworks.dashboard.redaction import redacted
from taskworks.database.clock import as_aware
from taskworks.database.fields import Unreadable
from taskworks.logs import one_line
from taskworks.masking import masked_text, outline
from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED
from taskworks.store import Store
from taskworks.tracebacks import summary_of

MAX_LINE = 200  # characters of arguments, or of an error
MAX_ARGUMENTS_READ = 5_000  # characters; larger ones are not read for a list
MAX_ERRORS_READ = 50_000

# What a list needs of a run, apart from what may be large.
COLUMNS = (
    "id",
    "backend",
    "queue_name",
    "task_path",
    "callable_path",
    "rank",
    "state",
    "attempts",
    "failures",
    "enqueued_at",
    "available_at",
    "claimed_at",
    "started_at",
    "last_attempted_at",
    "cancel_requested_at",
    "finished_at",
    "progress",
    "target",
)


class Row(NamedTuple):
    """A run in a list."""

    run: TaskRun
    arguments: str
    error: str
    waited: timedelta | None
    took: timedelta | None
    at: datetime | None
    at_label: str

    @property
    def is_asked_to_stop(self) -> bool:
        return bool(self.run.cancel_requested_at) and self.run.state not in FINISHED


def seen_by(access: Access, runs: Iterable[TaskRun]) -> list[TaskRun]:
    """Return those of the runs that this person may see."""
    return [run for run in runs if not access.is_by_row or access.may(Action.SEE, run)]


def rows_of(store: Store, runs: Sequence[TaskRun], access: Access, now: datetime) -> list[Row]:
    """Return the rows for these runs, which have COLUMNS; by one statement for what is large."""
    runs = seen_by(access, runs)
    large = _large(store, runs)
    return [_row(run, large.get(run.id), access, now) for run in runs]


class _Large(NamedTuple):
    args: Any
    kwargs: Any
    errors: Any


def _large(store: Store, runs: Sequence[TaskRun]) -> dict[Any, _Large]:
    if not runs:
        return {}
    shortest = {
        "args": MAX_ARGUMENTS_READ,
        "kwargs": MAX_ARGUMENTS_READ,
        "errors": MAX_ERRORS_READ,
    }
    some = {f"some_{name}": _unless_longer(name, most) for name, most in shortest.items()}
    rows = store.runs.filter(id__in=[run.id for run in runs]).annotate(**some)
    return {row[0]: _Large(*row[1:]) for row in rows.values_list("id", *some)}


def _unless_longer(column: str, most: int) -> Case:
    field: Any = TaskRun._meta.get_field(column)
    is_short = LessThanOrEqual(Length(F(column), output_field=IntegerField()), most)
    return Case(When(is_short, then=F(column)), default=Value(None), output_field=field)


def _row(run: TaskRun, large: _Large | None, access: Access, now: datetime) -> Row:
    at, label = _moment(run)
    return Row(
        run,
        _arguments(run, large, access) if large else "",
        _error(run, large) if large else "",
        _waited(run, now),
        _took(run, now),
        at,
        label,
    )


def _arguments(run: TaskRun, large: _Large, access: Access) -> str:
    if large.args is None or large.kwargs is None:
        return _("(too long for this list)")
    run.args, run.kwargs = large.args, large.kwargs
    if any(isinstance(value, Unreadable) for value in (run.args, run.kwargs)):
        return _("(not what Taskworks would write)")
    args, kwargs = redacted(run, "args"), redacted(run, "kwargs")
    if not access.may(Action.SEE_ARGUMENTS, run):
        args, kwargs = outline(args), outline(kwargs)
    return one_line(call_in_a_line(args, kwargs))


def call_in_a_line(args: Any, kwargs: Any) -> str:
    """Return arguments as a call has them, cut."""
    said = [_json(value) for value in args] if isinstance(args, list) else [_json(args)]
    if isinstance(kwargs, dict):
        said += [f"{name}={_json(value)}" for name, value in kwargs.items()]
    else:
        said.append(_json(kwargs))
    return cut(", ".join(said))


def cut(text: str) -> str:
    """Return a text that is not longer than a line."""
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}…"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


def _error(run: TaskRun, large: _Large) -> str:
    if run.state == RunState.SUCCESSFUL:
        return ""
    if large.errors is None:
        return _("(too long for this list)")
    if not large.errors:
        return ""
    entry = large.errors[-1]
    summary = summary_of(entry["exception_class_path"], entry["traceback"])
    return masked_text(one_line(cut(summary)))


def _waited(run: TaskRun, now: datetime) -> timedelta | None:
    """Return how long it waited for its first attempt after it was due, or has waited till now."""
    if run.state in (RunState.BLOCKED, RunState.SCHEDULED):
        return _between(run.enqueued_at, now)
    if run.state in (RunState.READY, RunState.CLAIMED):
        return _between(run.available_at, now)
    return _between(run.enqueued_at, run.started_at or run.finished_at)


def _took(run: TaskRun, now: datetime) -> timedelta | None:
    until = now if run.state == RunState.RUNNING else run.finished_at
    return _between(run.last_attempted_at, until)


def _between(since: datetime | None, until: datetime | None) -> timedelta | None:
    if since is None or until is None:
        return None
    try:
        return max(as_aware(until) - as_aware(since), timedelta())
    except OverflowError:  # in the first or last day of all
        return None


def _moment(run: TaskRun) -> tuple[datetime | None, str]:
    """Return when it finished; before that, since when it runs, is due, or waits."""
    match run.state:
        case RunState.SUCCESSFUL | RunState.FAILED | RunState.CANCELLED:
            return run.finished_at, _("finished")
        case RunState.RUNNING:
            return run.last_attempted_at, _("attempt begun")
        case RunState.SCHEDULED:
            return run.available_at, _("due")
        case _:
            return run.enqueued_at, _("enqueued")
