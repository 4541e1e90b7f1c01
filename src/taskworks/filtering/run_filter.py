"""``RunFilter``: which runs are meant, as a value."""

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, TextField

from taskworks.database.clock import later
from taskworks.durations import in_words
from taskworks.filtering.arguments import Argument
from taskworks.jsonvalue import as_text
from taskworks.models import Failure, Firing, RunState, TaskRun, Worker
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.tracebacks import message_of

Moment = datetime | timedelta | None  # a timedelta counts back from now

# Those by which SQL finds too much, and that are decided by reading the run.
READ = ("errors", "arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """
    Runs that meet all of these conditions; of one that has several values, any of them. Only all
    texts of ``errors`` and all ``arguments`` must be met. Without any condition it means all runs.
    """

    ids: tuple[UUID, ...] = ()
    states: tuple[RunState, ...] = ()
    tasks: tuple[str, ...] = ()  # paths of tasks, or of schedules' callables
    queues: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()  # labels or ids
    schedules: tuple[str, ...] = ()  # labels
    owner: str | None = None
    workflow: UUID | None = None
    group: str | None = None  # the fingerprint of a group of failures
    # Texts in the class or the message of the latest error, as they are spelled.
    errors: tuple[str, ...] = ()
    # When they ended, or, if they have not, when they were enqueued; until is before then.
    since: Moment = None
    until: Moment = None
    # When they were enqueued.
    enqueued_since: Moment = None
    enqueued_until: Moment = None
    # How long the last attempt of a finished run took.
    took_at_least: timedelta | None = None
    took_less_than: timedelta | None = None
    attempts_at_least: int | None = None
    attempts_less_than: int | None = None
    arguments: tuple[Argument, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it means all runs."""
        return self == RunFilter()

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the conditions that it has."""
        nothing = RunFilter()
        names = (field.name for field in fields(self))
        return tuple(name for name in names if getattr(self, name) != getattr(nothing, name))

    @property
    def is_of_ended_runs(self) -> bool:
        """Whether it names states, and only final ones."""
        return bool(self.states) and {*self.states} <= {*FINISHED}

    @property
    def is_read(self) -> bool:
        """Whether ``admits`` decides: SQL alone finds too much."""
        return any(getattr(self, name) for name in READ)

    def but(self, **changes: Any) -> "RunFilter":
        """Return it with other conditions."""
        return replace(self, **changes)

    @property
    def masked(self) -> "RunFilter":
        """The same with what looks like a secret masked, for people to read."""
        return replace(self, arguments=tuple(one.masked for one in self.arguments))

    def at(self, now: datetime) -> "RunFilter":
        """Return it with fixed times, as they are when the database's clock says ``now``."""
        names = ("since", "until", "enqueued_since", "enqueued_until")
        moments: dict[str, Any] = {name: _fixed(getattr(self, name), now) for name in names}
        return replace(self, **moments)

    # Which runs it means.

    def narrow(self, runs: TaskRunQuerySet, *, without: tuple[str, ...] = ()) -> TaskRunQuerySet:
        """
        Return those of these runs that meet the conditions, except for those ``without``; with
        times that are fixed. If ``is_read``, there are more than are meant.
        """
        for name in self.given:
            if name not in without:
                runs = _CONDITIONS[name](runs, getattr(self, name))
        return runs

    def admits(self, run: TaskRun) -> bool:
        """Return whether a run that ``narrow`` has found meets the conditions that are read."""
        said = _latest_error(run) if self.errors else ()
        if not all(any(text in part for part in said) for text in self.errors):
            return False
        return all(argument.is_of(run) for argument in self.arguments)

    # For people.

    def __str__(self) -> str:
        kinds = " or ".join(self.states)
        parts = [f"{kinds} runs" if kinds else "runs"]
        parts += [_words(name, getattr(self, name)) for name in self.given if name != "states"]
        return " ".join(parts)


def _fixed(moment: Moment, now: datetime) -> datetime | None:
    return later(now, -moment) if isinstance(moment, timedelta) else moment


def _latest_error(run: TaskRun) -> tuple[str, ...]:
    """Return the class and the message of what ended the latest attempt that has failed."""
    if not run.errors:
        return ()
    path, traceback = run.errors[-1]["exception_class_path"], run.errors[-1]["traceback"]
    return path, message_of(path, traceback)


# The conditions, by their names.


def _state(runs: TaskRunQuerySet, states: tuple[RunState, ...]) -> TaskRunQuerySet:
    return runs.filter(state=states[0]) if len(states) == 1 else runs.filter(state__in=states)


def _task(runs: TaskRunQuerySet, paths: tuple[str, ...]) -> TaskRunQuerySet:
    return runs.filter(Q(task_path__in=paths) | Q(callable_path__in=paths))


def _worker(runs: TaskRunQuerySet, named: tuple[str, ...]) -> TaskRunQuerySet:
    """Those that one of these has, or has executed."""
    workers = Worker.objects.using(runs.db)
    ids = {identified for name in named if (identified := _as_id(name))}
    labels = {*workers.filter(id__in=ids).values_list("label", flat=True)} if ids else set()
    labels |= {name for name in named if not _as_id(name)}
    ids |= {*workers.filter(label__in=labels).values_list("id", flat=True)}
    is_one = Q(claimed_by__in=ids)
    for label in labels:
        is_one |= Q(workers_text__contains=as_text(label))
    return runs.alias(workers_text=_as_stored("worker_ids")).filter(is_one)


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _schedule(runs: TaskRunQuerySet, labels: tuple[str, ...]) -> TaskRunQuerySet:
    firings = Firing.objects.filter(run=OuterRef("id"), schedule__label__in=labels)
    return runs.filter(Exists(firings))


def _group(runs: TaskRunQuerySet, fingerprint: str) -> TaskRunQuerySet:
    failures = Failure.objects.filter(run=OuterRef("id"), at=OuterRef("finished_at"))
    return runs.filter(Exists(failures.filter(fingerprint=fingerprint)))


def _errors(runs: TaskRunQuerySet, texts: tuple[str, ...]) -> TaskRunQuerySet:
    runs = runs.alias(errors_text=_as_stored("errors"))
    for text in texts:
        runs = runs.filter(errors_text__contains=as_text(text)[1:-1])
    return runs


def _since(runs: TaskRunQuerySet, moment: datetime) -> TaskRunQuerySet:
    return runs.filter(
        Q(finished_at__gte=moment) | Q(finished_at__isnull=True, enqueued_at__gte=moment)
    )


def _until(runs: TaskRunQuerySet, moment: datetime) -> TaskRunQuerySet:
    return runs.filter(
        Q(finished_at__lt=moment) | Q(finished_at__isnull=True, enqueued_at__lt=moment)
    )


def _took(runs: TaskRunQuerySet) -> Any:
    took = ExpressionWrapper(F("finished_at") - F("last_attempted_at"), DurationField())
    return runs.alias(took=took).filter(finished_at__isnull=False, last_attempted_at__isnull=False)


def _arguments(runs: TaskRunQuerySet, arguments: tuple[Argument, ...]) -> TaskRunQuerySet:
    runs = runs.alias(args_text=_as_stored("args"), kwargs_text=_as_stored("kwargs"))
    for argument in arguments:
        runs = runs.filter(argument.condition("args_text", "kwargs_text"))
    return runs


def _as_stored(column: str) -> ExpressionWrapper:
    return ExpressionWrapper(F(column), output_field=TextField())


_CONDITIONS: dict[str, Any] = {
    "ids": lambda runs, ids: runs.filter(id__in=ids),
    "states": _state,
    "tasks": _task,
    "queues": lambda runs, names: runs.filter(queue_name__in=names),
    "backends": lambda runs, aliases: runs.filter(backend__in=aliases),
    "workers": _worker,
    "schedules": _schedule,
    "owner": lambda runs, owner: runs.filter(owner=owner),
    "workflow": lambda runs, workflow: runs.filter(workflow=workflow),
    "group": _group,
    "errors": _errors,
    "since": _since,
    "until": _until,
    "enqueued_since": lambda runs, moment: runs.filter(enqueued_at__gte=moment),
    "enqueued_until": lambda runs, moment: runs.filter(enqueued_at__lt=moment),
    "took_at_least": lambda runs, least: _took(runs).filter(took__gte=least),
    "took_less_than": lambda runs, most: _took(runs).filter(took__lt=most),
    "attempts_at_least": lambda runs, least: runs.filter(attempts__gte=least),
    "attempts_less_than": lambda runs, most: runs.filter(attempts__lt=most),
    "arguments": _arguments,
}


# Words.


_WORDS = {
    "ids": "with the id {}",
    "tasks": "of {}",
    "queues": "in the queue {}",
    "backends": "of the backend {}",
    "workers": "of the worker {}",
    "schedules": "of the schedule {}",
    "owner": "of the owner {}",
    "workflow": "of the workflow {}",
    "group": "in the group {}",
    "errors": "with {} in the error",
    "since": "since {}",
    "until": "until {}",
    "enqueued_since": "enqueued since {}",
    "enqueued_until": "enqueued until {}",
    "took_at_least": "that took {} or more",
    "took_less_than": "that took less than {}",
    "attempts_at_least": "with {} attempts or more",
    "attempts_less_than": "with fewer than {} attempts",
    "arguments": "with the argument {}",
}


def _words(name: str, value: Any) -> str:
    values = value if isinstance(value, tuple) else (value,)
    link = " and " if name in READ else " or "
    is_time = name in ("since", "until", "enqueued_since", "enqueued_until")
    return _WORDS[name].format(link.join(_one(one, is_time=is_time) for one in values))


def _one(value: Any, *, is_time: bool) -> str:
    if isinstance(value, timedelta):
        return f"{in_words(value)} ago" if is_time else in_words(value)
    return value.isoformat(sep=" ", timespec="seconds") if is_time else str(value)
