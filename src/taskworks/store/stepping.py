"""
Steps that a run has recorded, and events that it waits for.

Whoever suspends a run and whoever sends an event lock the row of the event first, and the row of
the run after that. So one of them sees what the other has written: no event is missed, whoever dies
when, and nobody has to look for missed ones.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, models

from taskworks.database.clock import DatabaseClock, later
from taskworks.database.transactions import writing
from taskworks.models import Event, RunState, StepRecord, TaskRun
from taskworks.models.run import IN_HAND, TaskRunQuerySet
from taskworks.steps import MAX_STEPS
from taskworks.steps.requests import (
    Awaited,
    AwaitEvent,
    History,
    ReadHistory,
    Record,
    Recorded,
    RecordKind,
    Request,
    TimeOut,
)
from taskworks.store.base import Base
from taskworks.store.enqueueing import MAX_TRIES
from taskworks.store.finishing import REQUEUE

LOOK_AGAIN_AFTER = timedelta(seconds=1)  # at an event whose sender has not committed yet

MAX_DELETED = 5000  # rows of several runs, in one statement

Rows = type[StepRecord] | type[Event]


class Stepping(Base):
    """Record steps, wait for events and send them."""

    @property
    def step_records(self) -> "models.QuerySet[StepRecord]":
        return StepRecord.objects.using(self.alias)

    @property
    def events(self) -> "models.QuerySet[Event]":
        return Event.objects.using(self.alias)

    # What a task asks. None is returned if the run is no longer that of the claim.

    def answer(self, run: TaskRun, request: Request) -> Any:
        """
        Do what the task of a claimed run asks for, and return the answer; None if the run is no
        longer ours. May be repeated if its answer was lost.
        """
        match request:
            case ReadHistory():
                return self.read_history(run)
            case Record():
                return self.record_step(run, request) or None
            case AwaitEvent(name, until, is_known):
                return self.await_event(run, name, until, is_known=is_known)
            case TimeOut(name, at):
                return self.time_out(run, name, at)

    def read_history(self, run: TaskRun) -> History | None:
        """Return what the run has recorded, and its events."""
        if not self._ours(run).exists():
            return None
        records = self.step_records.filter(run=run.id)
        events = self.events.filter(run=run.id)
        return History(
            {row.name: Recorded(_kind(row), row.value, row.ended_at) for row in records},
            {row.name: _awaited(row) for row in events},
        )

    def record_step(self, run: TaskRun, record: Record) -> bool:
        """Record a step or a sleep; return False if the run is no longer ours."""
        values = {
            "name": record.name,
            "kind": record.kind.value,
            "value": record.text,
            "ended_at": record.ended_at,
        }
        try:
            return self._insert_for(run, StepRecord, values)
        except IntegrityError:  # it was recorded, and the answer was lost
            return self._ours(run).exists()

    def await_event(
        self, run: TaskRun, name: str, until: datetime | None, *, is_known: bool
    ) -> Awaited | None:
        """Return the event, which is open from now on if there is none."""
        if not is_known:
            try:
                values = {"name": name, "until": until, "is_sent": False}
                return Awaited(until, False) if self._insert_for(run, Event, values) else None
            except IntegrityError:  # it was sent in the meantime, or the answer was lost
                pass
        event = self.events.filter(run=run.id, name=name).first()
        if event is None:  # it was deleted in the meantime, by whoever has deleted the run
            return None
        return _awaited(event) if self._ours(run).exists() else None

    def time_out(self, run: TaskRun, name: str, at: datetime) -> Awaited | None:
        """Have the wait for an event time out, unless it was sent; return which."""
        with self.locking():
            open_one = self.events.filter(run=run.id, name=name, ended_at=None)
            free = [*open_one.select_for_update(skip_locked=True)]
            has_locked = self._ours(run).select_for_update(skip_locked=True).exists()
            if not has_locked and not self._ours(run).exists():
                return None
            if free and has_locked:
                open_one.update(ended_at=at)
        event = self.events.filter(run=run.id, name=name).first()
        return None if event is None else _awaited(event)

    def suspend(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """
        Put back runs that wait for events, as ``requeue`` does. A run is due at once if an event
        was sent that its task has not seen, and soon if one is being sent.
        """
        ids = {run.id for run in runs}
        with self.locking():
            of_runs = self.events.filter(run__in=ids)
            locked = [*of_runs.select_for_update(skip_locked=True)]
            being_sent = {*of_runs.values_list("run", "name")} - {(e.run, e.name) for e in locked}
            self._bring_forward(
                runs,
                at_once={*_runs_with_news(runs, locked)},
                soon={run_id for run_id, _ in being_sent},
            )
            have_locked_all = {*self._lock_free_rows(ids)} == ids
            written = self._write_suspended(runs) if have_locked_all else None
        if written is None:
            # Outside of that transaction, the wait for the others' locks is limited.
            self._bring_forward(runs, at_once=(), soon=ids)
            written = self._write_suspended(runs)
        return self._notify_queues_of(runs, written)

    def _write_suspended(self, runs: Sequence[TaskRun]) -> set[UUID]:
        return self._write(runs, REQUEUE, ends_claim=True, cancel_wins=True)

    def _bring_forward(
        self, runs: Sequence[TaskRun], *, at_once: Collection[UUID], soon: Collection[UUID]
    ) -> None:
        if not at_once and not soon:
            return
        now = self.read_clock()
        for run in runs:
            if run.id in at_once:
                run.state, run.available_at = RunState.READY.value, now
            elif run.id in soon:
                again_at = later(now, LOOK_AGAIN_AFTER)
                run.available_at = min(run.available_at, again_at)
                run.state = RunState.SCHEDULED.value

    # Send.

    def send_event(self, run_id: UUID, name: str, value: Any) -> bool:
        """
        Send an event to a run, in the caller's transaction if there is one, and make the run ready
        if it waits for that. Return False if another one was first, if the wait has timed out, or
        if the run has succeeded or does not exist.
        """
        for _ in range(MAX_TRIES):
            with writing(self.alias):
                self.lock_to_write()
                run = self.runs.filter(id=run_id).only("id", "state").first()
                if run is None or run.state == RunState.SUCCESSFUL:
                    return False
                is_first = self._end_event(run_id, name, value)
                if is_first is not None:
                    return is_first
        raise IntegrityError(
            f"The event {name!r} of run {run_id} was sent or waited for by a transaction that is "
            "not visible here."
        )

    def _end_event(self, run_id: UUID, name: str, value: Any) -> bool | None:
        """Return whether this one is the first; None if that is to be found out again."""
        event = self.events.filter(run=run_id, name=name)
        sent = {"ended_at": DatabaseClock(), "is_sent": True, "value": value}
        if not event.exists():
            return self._insert_event(run_id, name, sent)
        if row := event.select_for_update().first():
            if row.ended_at:
                return False
            event.update(**sent)
            self._wake(run_id)
            return True
        return None

    def _insert_event(self, run_id: UUID, name: str, sent: dict[str, Any]) -> bool | None:
        """Insert an event that nobody waits for yet: a wait will find it."""
        if self.events.filter(run=run_id).values("name")[:MAX_STEPS].count() == MAX_STEPS:
            raise ValueError(
                f"Run {run_id} has {MAX_STEPS:,} events, and gets no more, because each attempt "
                "reads them all."
            )
        try:
            with writing(self.alias):
                self.events.create(run=run_id, name=name, **sent)
        except IntegrityError:
            return None
        return True

    def _wake(self, run_id: UUID) -> None:
        """Make the run ready if it is suspended; an attempt in hand looks when it ends."""
        suspended = self._in(self.runs.filter(id=run_id), RunState.SCHEDULED)
        ready = {"state": RunState.READY, "available_at": DatabaseClock()}
        self._notify_if_any(suspended.update(**ready))

    # Forget.

    def lock_events(self, run_id: UUID) -> None:
        """Lock a run's events."""
        self.lock_to_write()
        events = self.events.filter(run=run_id).order_by("name").select_for_update()
        list(events.values_list("name", "ended_at"))

    def forget_steps(self, runs: Collection[UUID]) -> None:
        """Delete what these runs have recorded, and their events."""
        for rows in (self.step_records, self.events):
            self._delete_rows_of(runs, rows)

    def forget_steps_of_gone(self, after: UUID | None, limit: int) -> UUID | None:
        """
        Delete the records and events of runs that are gone, of the next ``limit`` rows of each;
        return the last run that was looked at, None if there are no more.
        """
        last = [self._forget_gone(rows, after, limit) for rows in (self.step_records, self.events)]
        return min((run for run in last if run), default=None)

    def _forget_gone(self, rows: Any, after: UUID | None, limit: int) -> UUID | None:
        rest = rows.filter(run__gt=after) if after else rows
        runs = [*rest.order_by("run", "name").values_list("run", flat=True)[:limit]]
        kept = {*self.runs.filter(id__in={*runs}).values_list("id", flat=True)}
        self._delete_rows_of({*runs} - kept, rows)
        return runs[-1] if len(runs) == limit else None

    def _delete_rows_of(self, runs: Collection[UUID], rows: Any) -> None:
        """Delete these runs' rows, so few in one statement that it locks none for long."""
        counts = rows.filter(run__in=runs).order_by().values("run").annotate(n=models.Count("name"))
        batch: list[UUID] = []
        size = 0
        for run_id, count in [*counts.values_list("run", "n")] if runs else []:
            if batch and size + count > MAX_DELETED:
                rows.filter(run__in=batch)._raw_delete(self.alias)
                batch, size = [], 0
            batch.append(run_id)
            size += count
        if batch:
            rows.filter(run__in=batch)._raw_delete(self.alias)

    # Shared.

    def _ours(self, run: TaskRun) -> TaskRunQuerySet:
        mine = self.runs.filter(id=run.id, claim_token=run.claim_token)
        return self._in(mine, *IN_HAND)

    def _insert_for(self, run: TaskRun, model: Rows, values: dict[str, Any]) -> bool:
        """
        Insert a row for a claimed run; return False if the run is no longer ours. The run is
        locked, so that nobody gives it to another worker at the same time. Raise IntegrityError if
        there is such a row.
        """
        quote, connection = self.connection.ops.quote_name, self.connection
        fields: dict[str, Any] = {name: model._meta.get_field(name) for name in values}
        own = {
            name: value if name == "value" else fields[name].get_db_prep_save(value, connection)
            for name, value in values.items()
        }
        insertion = f"""
            INSERT INTO {self._quoted(model)} ({", ".join(map(quote, ["run", *own]))})
            SELECT run.id, {", ".join(["%s"] * len(own))}
            FROM {self._lock_timeout}{self._quoted(TaskRun)} AS run
            WHERE run.id = %s AND run.claim_token = %s AND run.finished_at IS NULL
            {self._locking_the_run}"""  # noqa: S608 - only names are put in
        key = [self.rows.writer(name)(getattr(run, name)) for name in ("id", "claim_token")]
        with (
            self._limited_lock_wait() as limit,
            self._savepoint_if_needed(),
            self.connection.cursor() as cursor,
        ):
            cursor.execute(f"{limit} {insertion}", [*own.values(), *key])
            return bool(cursor.rowcount)

    def _savepoint_if_needed(self) -> AbstractContextManager[None]:
        """In a transaction, an IntegrityError must not take the rest with it."""
        return writing(self.alias) if self.connection.in_atomic_block else nullcontext()

    @contextmanager
    def _limited_lock_wait(self) -> Iterator[str]:
        """Limit the wait for locks, and give what to put before a statement, where that is how."""
        yield ""

    @property
    def _lock_timeout(self) -> str:
        """SQL in a statement that limits its wait for locks, where that is how."""
        return ""

    @property
    def _locking_the_run(self) -> str:
        """SQL that locks the row that is called ``run``."""
        return "FOR UPDATE"


def _runs_with_news(runs: Iterable[TaskRun], events: Iterable[Event]) -> Iterator[UUID]:
    """Yield the runs to which an event was sent that their tasks have not seen."""
    seen = {run.id: run.seen_events for run in runs}
    return (e.run for e in events if e.ended_at and e.name not in seen[e.run])


def _awaited(event: Event) -> Awaited:
    return Awaited(event.until, event.ended_at is not None, event.is_sent, event.value)


def _kind(row: StepRecord) -> RecordKind:
    is_sleep = row.kind == RecordKind.SLEEP
    return RecordKind.SLEEP if is_sleep else RecordKind.STEP
