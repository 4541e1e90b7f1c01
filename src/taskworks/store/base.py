"""
The store's interface, and what of it is the same on every database.

A verb that changes a claimed run is fenced: it demands the run's id, its state, and the token of
the claim. What it returns are the ids of the runs that were still ours; about the others nothing
was written. The runs given to ``start``, ``finish`` and ``release`` carry the values to write.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce

from taskworks import jsonvalue
from taskworks.conf import conf
from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.fields import JSONTextField, decoded
from taskworks.models.run import FINISHED, IN_HAND, TaskRunQuerySet, claim_order
from taskworks.models.worker import WorkerQuerySet
from taskworks.policy import ALONE
from taskworks.retention import Rule
from taskworks.store.aged import Aged
from taskworks.store.change import Change, change_of
from taskworks.store.clock import DatabaseClock
from taskworks.store.cursor import Cursor, Place, Places
from taskworks.store.notices import SOON, Listener, Notice, tell
from taskworks.store.pieces import pieces

OWN = ("id", "args", "kwargs")  # columns in which runs that are enqueued together differ

STARTED = (
    "state",
    "attempts",
    "worker_ids",
    "started_at",
    "last_attempted_at",
    "missing_since",
)
FINISH = (*STARTED, "failures", "finished_at", "return_value", "errors")
TOLD = ("target", "progress", "messages", "metadata")
REQUEUE = (
    *STARTED,
    "failures",
    "crashes",
    "executor",
    "available_at",
    "expires_at",
    "errors",
)
# What a claim itself has just written, and what is empty in a run that was ready.
CLAIM = ("state", "claimed_by", "claim_token")
BLANK = ("cancel_requested_at", "finished_at", "return_value", "target", "progress")
# Of a run that a worker has no more.
RESCUED = {
    "state": RunState.READY.value,
    "claimed_by": None,
    "claim_token": None,
    "target": None,
    "progress": None,
}


class Outlook(NamedTuple):
    """What there is to claim, and when there will be more."""

    queues: list[str]  # those with a ready run
    due_in: float  # seconds until the next scheduled run is due, below 0 if one is


class Line(NamedTuple):
    """The ready runs of a queue and an executor, and how many of them may be claimed."""

    queue_name: str
    executor: str
    room: int
    after: Place | None = None  # where to begin, if the database is faster so


class Store(ABC):
    """What can be done to runs and workers in one database."""

    can_notify = False  # whether workers can be told of new runs
    uses_cursors = False  # whether claims that go on from a place are cheaper

    def __init__(self, alias: str) -> None:
        self.alias = alias

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    @property
    def runs(self) -> TaskRunQuerySet:
        return TaskRun.objects.using(self.alias)

    @property
    def workers(self) -> WorkerQuerySet:
        return Worker.objects.using(self.alias)

    # From enqueue to finish.

    def enqueue(
        self,
        runs: Sequence[TaskRun],
        delay: timedelta | None = None,
        expires: float = math.inf,
    ) -> None:
        """
        Insert new runs, in the caller's transaction if there is one.

        Several may differ in their ids and arguments alone. They become ready, or scheduled if
        ``run_after`` is ahead; ``delay`` counts a run_after from now, ``expires`` the seconds that
        a run may then wait. The runs given get their times and states.
        """
        now = self.read_clock()
        for run in runs:
            if delay is not None:
                run.run_after = now + delay
            due = run.run_after if run.run_after and run.run_after > now else None
            run.enqueued_at = now
            run.available_at = due or now
            if expires != math.inf:
                run.expires_at = _later(run.available_at, expires)
            run.state = (RunState.SCHEDULED if due else RunState.READY).value
        self._insert_all(runs)
        if runs and runs[0].available_at - now < SOON:
            self.tell_workers(runs[0].backend, runs[0].queue_name)

    def promote(self, limit: int) -> int:
        """Make up to ``limit`` due scheduled runs ready, behind those that are; say how many."""
        due = self.runs.scheduled().filter(available_at__lte=DatabaseClock())
        promoted = self._update_some(
            due.order_by("available_at", "id"),
            limit,
            state=RunState.READY,
            available_at=DatabaseClock(),
        )
        return self._told(promoted)

    def ready_queues(self, backend: str) -> list[str]:
        """The queues that have a ready run; costs an index probe a queue, however long they are."""
        return [name for name, _ in self._fetch(self._ready_queues(), [backend, backend])]

    def outlook(self, backend: str) -> Outlook:
        """The queues that have a ready run, and in how long the next scheduled one is due."""
        due_in, clock = self._due_in()
        statement = f"""
            {self._ready_queues()}
            UNION ALL
            SELECT NULL, {due_in} FROM {self._quoted(TaskRun)}
            WHERE state = 'scheduled'"""  # noqa: S608 - a table's name and our own expression
        rows = self._fetch(statement, [backend, backend, *clock])
        queues = [name for name, _ in rows if name is not None]
        [seconds] = [seconds for name, seconds in rows if name is None]
        return Outlook(queues, math.inf if seconds is None else float(seconds))

    def claim(
        self,
        worker: UUID,
        backend: str,
        queues: Sequence[str],
        room: Mapping[str, int],
        limit: int | None = None,
        *,
        cursor: Cursor | None = None,
    ) -> list[TaskRun]:
        """
        Take ready runs for a worker that is not given up, in the order of claims (rank,
        available_at, id): as many of each executor as there is ``room`` for, ``limit`` in all.
        What is claimed at once gets one fresh token. A ``cursor`` makes it faster where the
        database can use it, and for a moment blind to what comes to stand before that.
        """
        most = sum(room.values())
        limit = most if limit is None else min(limit, most)

        def ask(room: Mapping[str, int], limit: int, places: Places) -> list[TaskRun]:
            return self._claim(worker, backend, in_line(queues, room, places), room, limit)

        if cursor and self.uses_cursors:
            return cursor.claim(ask, room, limit)
        return ask(room, limit, {})

    def start(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """
        Write that the attempts of these claimed runs have begun.

        May be repeated when its answer was lost.
        """
        return self._write(runs, STARTED, guard=IN_HAND)

    def finish(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """
        Write the outcomes of these runs, and that they began.

        May be repeated when its answer was lost: a run that has this outcome already is ours.
        """
        return self._finish(runs, FINISH)

    def poison(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Finish these runs, and write how often they have crashed; as ``finish``."""
        return self._finish(runs, (*FINISH, "crashes"))

    def commit(self, run: TaskRun) -> bool:
        """
        Write a run's outcome, and what it has told, in the transaction of its own task, which is
        to commit next; False if the run is not ours any more.
        """
        return bool(self._write([run], (*FINISH, *TOLD), guard=IN_HAND))

    def committed(self, runs: Sequence[TaskRun]) -> dict[UUID, TaskRun | None]:
        """
        The rows of these claimed runs if their tasks' own transactions have made them successful,
        else None; nothing of those whose transactions may still commit.
        """
        ids = [run.id for run in runs]
        with transaction.atomic(using=self.alias):  # such a transaction holds its row
            free = self.runs.select_for_update(skip_locked=True).filter(id__in=ids)
            rows = {row.id: row for row in free}
        held = set(self.runs.filter(id__in=ids).values_list("id", flat=True)) - set(rows)
        return {
            run.id: row if (row := rows.get(run.id)) and _is_success_of(run, row) else None
            for run in runs
            if run.id not in held
        }

    def requeue(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Give runs back to be executed again, at the time they carry, with their new counts."""
        written = self._write(runs, REQUEUE, guard=IN_HAND, forgets_claim=True, heeds_cancel=True)
        return self._told_of(runs, written)

    def release(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Give claimed or running runs back, in their old places, with their old counts."""
        written = self._write(runs, STARTED, guard=IN_HAND, forgets_claim=True, heeds_cancel=True)
        return self._told_of(runs, written)

    def tell(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Write what running tasks have told of their progress."""
        return self._write(runs, TOLD, guard=IN_HAND)

    # Cancel and retry, by anyone.

    def cancel(self, run_id: UUID, entry: Mapping[str, Any]) -> RunState | None:
        """
        Cancel a run that waits, with this entry in its errors, or ask for it if a worker has it;
        the state that this made, or met. None if it has finished, or there is no such run.
        """
        while run := self._unfinished(run_id).first():
            if run.state in IN_HAND:
                if self._unchanged(run).update(cancel_requested_at=self._asked_since()):
                    return RunState(run.state)
            elif self._cancelled(run, entry):
                return RunState.CANCELLED
        return None

    def retry(self, run_id: UUID, executor: str | None = None) -> bool:
        """
        Make a failed or cancelled run ready, for another executor if one is given; False if it is
        neither.
        """
        retried = (
            self.runs.failed()
            .filter(id=run_id)
            .update(
                state=RunState.READY,
                available_at=DatabaseClock(),
                failures=0,
                crashes=0,
                executor=F("executor") if executor is None else executor,
                finished_at=None,
                expires_at=None,
                missing_since=None,
                cancel_requested_at=None,
                claimed_by=None,
                claim_token=None,
                target=None,
                progress=None,
            )
        )
        return bool(self._told(retried))

    def to_cancel(self, worker: UUID) -> set[UUID]:
        """The runs in this worker's hands that somebody wants cancelled."""
        wanted = self.runs.in_hand().filter(claimed_by=worker, cancel_requested_at__isnull=False)
        return set(wanted.values_list("id", flat=True))

    def asked_to_cancel(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Which of these claimed runs are still ours, and somebody wants them cancelled."""
        tokens = {run.id: run.claim_token for run in runs}
        wanted = self.runs.in_hand().filter(id__in=list(tokens), cancel_requested_at__isnull=False)
        rows = wanted.values_list("id", "claim_token")
        return {run_id for run_id, token in rows if token == tokens[run_id]}

    # Workers, and the runs of those that died.

    def register(self, worker: Worker) -> None:
        """Insert a worker's row; its life begins."""
        worker.started_at = worker.heartbeat_at = DatabaseClock()
        worker.save(force_insert=True, using=self.alias)

    def heartbeat(self, worker: UUID) -> bool:
        """Give a sign of life; False if the worker was given up meanwhile."""
        alive = self.workers.living().filter(id=worker)
        return bool(alive.update(heartbeat_at=DatabaseClock()))

    def give_up(self, silence: timedelta, witness: UUID) -> int:
        """
        Give up the workers whose latest sign of life is so much older than that of the witness, a
        living worker; say how many.

        Not older than now: what kept them from the database may have kept this statement, too.
        """
        living = self.workers.living().filter(id=witness)
        heard = living.values_list("heartbeat_at", flat=True).first()
        if heard is None:
            return 0
        silent = self.workers.living().filter(heartbeat_at__lt=heard - silence)
        return silent.update(given_up_at=DatabaseClock())

    def give_up_dead(self, worker: UUID) -> bool:
        """Give up a worker that has surely died; False if that was done, or it has left."""
        alive = self.workers.living().filter(id=worker)
        return bool(alive.update(given_up_at=DatabaseClock()))

    def rescue(self, limit: int) -> list[TaskRun]:
        """
        Make up to ``limit`` runs without a living worker ready, behind the others; the runs.
        Those that ``fail_lost`` and ``cancel_lost`` see to are left to them.

        Each may be what its worker has died of, so it is to be executed alone. One that may be
        executed once only has not begun, or its start would be known.
        """
        begun = Q(at_most_once=True, state=RunState.RUNNING)
        suspects = When(at_most_once=False, then=Value(ALONE))
        rescued = self._change_some(
            self._lost().filter(cancel_requested_at=None).exclude(begun),
            limit,
            **RESCUED,
            available_at=DatabaseClock(),
            executor=Case(suspects, default=F("executor")),
        )
        for run in rescued:
            for name, value in RESCUED.items():
                setattr(run, name, value)
        self._told(len(rescued))
        return rescued

    def fail_lost(self, limit: int, entry: Mapping[str, Any]) -> list[TaskRun]:
        """
        Fail up to ``limit`` runs without a living worker that have begun, and may be executed
        once only, with this entry in their errors; the runs.
        """
        begun = self._lost().filter(at_most_once=True, state=RunState.RUNNING)
        return [
            run
            for run in begun.filter(cancel_requested_at=None)[:limit]
            if self._ended(run, RunState.FAILED, entry)
        ]

    def has_lost(self) -> bool:
        """Whether there are runs without a living worker."""
        return self._lost().exists()

    def cancel_lost(self, limit: int, entry: Mapping[str, Any]) -> list[TaskRun]:
        """Cancel up to ``limit`` runs without a living worker that somebody wants cancelled."""
        lost = self._lost().filter(cancel_requested_at__isnull=False)
        return [run for run in lost[:limit] if self._cancelled(run, entry)]

    def awaits_rescue(self, silence: timedelta) -> bool:
        """Whether there are runs that ``give_up`` and ``rescue`` would make ready."""
        heard = self._their_workers().filter(heartbeat_at__gte=DatabaseClock(-silence))
        return self.runs.in_hand().filter(~Exists(heard)).exists()

    def release_strays(self, worker: UUID, known: Iterable[UUID]) -> int:
        """Give back runs that a claim whose answer was lost has left with this worker."""
        strays = self.runs.filter(state=RunState.CLAIMED, claimed_by=worker)
        released = strays.exclude(id__in=list(known)).update(
            state=RunState.READY, claimed_by=None, claim_token=None
        )
        return self._told(released)

    def leave(self, worker: UUID) -> None:
        """Remove a worker's row, and rows of workers given up a day ago."""
        past = self.workers.filter(given_up_at__lt=DatabaseClock(-timedelta(days=1)))
        (past | self.workers.filter(id=worker)).delete()

    # Tell workers that there is something to claim. Where the database cannot, they look.

    def tell_workers(self, backend: str | None = None, queue_name: str | None = None) -> None:
        """Tell them, when it is committed, that runs of a queue have become ready; or of any."""
        if self.can_notify and conf().notify:
            tell(Notice(self.alias, backend, queue_name, self.notify), self.connection)

    def notify(self, payload: str) -> None:
        """Send a notice, here and now."""
        raise NotImplementedError(f"The database {self.alias!r} sends no notices.")

    def listener(self) -> Listener | None:
        """Who hears notices; None if nobody can, or is to."""
        return None

    # Retention.

    def prunable(self, rule: Rule) -> TaskRunQuerySet:
        """The finished runs that are too old by this rule."""
        old = self._aged(rule).filter(backend=rule.backend)
        if rule.queue is None:
            return old.exclude(queue_name__in=rule.others) if rule.others else old
        return old.filter(queue_name=rule.queue)

    def aged(self, rule: Rule, after: Aged | None, limit: int) -> list[Aged]:
        """
        The next runs with the rule's outcome and age, the oldest first, in whichever queue: so
        that the cost does not depend on how many of them are not meant.
        """
        old = self._aged(rule).order_by("finished_at", "id")
        if after:
            old = old.filter(finished_at__gte=after.finished_at).filter(
                Q(finished_at__gt=after.finished_at) | Q(id__gt=after.id)
            )
        columns = old.values_list("finished_at", "id", "backend", "queue_name")
        return [Aged._make(row) for row in columns[:limit]]

    def prune(self, rule: Rule, ids: Sequence[UUID]) -> int:
        """Delete those of these runs that are still too old, and that nobody holds; how many."""
        return self._delete(self.prunable(rule).filter(id__in=ids))

    # Below the verbs.

    @abstractmethod
    def _claim(
        self,
        worker: UUID,
        backend: str,
        lines: Sequence[Line],
        room: Mapping[str, int],
        limit: int,
    ) -> list[TaskRun]:
        """See claim()."""

    @abstractmethod
    def read_clock(self) -> datetime:
        """The database's time, as Django would read it from a column."""

    def _told(self, count: int) -> int:
        """Tell workers, if runs of any queues have become ready."""
        if count:
            self.tell_workers()
        return count

    def _told_of(self, runs: Sequence[TaskRun], written: set[UUID]) -> set[UUID]:
        """Tell workers of the queues of those runs that were written."""
        for backend, name in {(run.backend, run.queue_name) for run in runs if run.id in written}:
            self.tell_workers(backend, name)
        return written

    def _ready_queues(self) -> str:
        ready = f"FROM {self._quoted(TaskRun)} WHERE state = 'ready' AND backend = %s"
        return f"""
            WITH RECURSIVE queue (name) AS (
                SELECT MIN(queue_name) {ready}
                UNION ALL
                SELECT (SELECT MIN(queue_name) {ready} AND queue_name > queue.name)
                FROM queue WHERE queue.name IS NOT NULL
            )
            SELECT name, NULL FROM queue WHERE name IS NOT NULL"""  # noqa: S608 - a table's name

    @abstractmethod
    def _due_in(self) -> tuple[str, Sequence[Any]]:
        """SQL for the seconds from now to the first available_at, and its parameters."""

    def _insert_all(self, runs: Sequence[TaskRun]) -> None:
        some = [*pieces(runs, _size)]
        if len(some) == 1:
            self._insert(runs)
            return
        with transaction.atomic(using=self.alias):
            for piece in some:
                self._insert(piece)

    def _insert(self, runs: Sequence[TaskRun]) -> None:
        """Insert runs that differ in their ids and arguments alone."""
        self.runs.bulk_create(runs)

    def _write(self, runs: Sequence[TaskRun], columns: Sequence[str], **how: Any) -> set[UUID]:
        """Write these columns of the runs that are still ours; ``how`` is that of ``change_of``."""
        return self._apply(change_of(runs, columns, self._plain, **how)) if runs else set()

    @abstractmethod
    def _apply(self, change: Change) -> set[UUID]:
        """Write a change; the ids of the runs that were still as expected."""

    def _plain(self, column: str, value: Any) -> Any:
        """A value of a column as a parameter."""
        field = cast("models.Field[Any, Any]", TaskRun._meta.get_field(column))
        return field.get_db_prep_save(value, self.connection)

    def _claimed(self, rows: Iterable[Sequence[Any]], **claim: Any) -> list[TaskRun]:
        """The runs of these rows, of what ``_columns`` selects, in the order of claims."""
        names = [field.attname for field in self._fields_to_read]
        readers = self._readers()
        known = {**dict.fromkeys(BLANK), "state": RunState.CLAIMED.value, **claim}
        runs = []
        for row in rows:
            columns = dict(zip(names, row, strict=True))
            for name, read in readers:
                if columns[name] is not None:
                    columns[name] = read(columns[name])
            runs.append(TaskRun.of_columns(self.alias, {**columns, **known}))
        return sorted(runs, key=claim_order)

    @cached_property
    def _fields_to_read(self) -> list[Any]:
        known = (*CLAIM, *BLANK)
        return [field for field in TaskRun._meta.concrete_fields if field.attname not in known]

    def _columns(self) -> str:
        return ", ".join(map(self._expression, self._fields_to_read))

    def _readers(self) -> list[tuple[str, Callable[[Any], Any]]]:
        """How columns are read that the driver does not give as Python has them."""
        readers = [(field.attname, self._reader(field)) for field in self._fields_to_read]
        return [(name, read) for name, read in readers if read]

    def _expression(self, field: Any) -> str:
        """What a claim selects of a column."""
        return self.connection.ops.quote_name(field.attname)

    def _reader(self, field: Any) -> Callable[[Any], Any] | None:
        """What makes a value of it; None if it is one already."""
        if isinstance(field, JSONTextField):
            return decoded
        connection, column = self.connection, field.get_col(TaskRun._meta.db_table)
        converters = connection.ops.get_db_converters(column) + field.get_db_converters(connection)
        if not converters:
            return None
        [convert] = converters
        return lambda value: convert(value, column, connection)

    def _finish(self, runs: Sequence[TaskRun], columns: Sequence[str]) -> set[UUID]:
        written = self._write(runs, columns, guard=IN_HAND, heeds_cancel=True)
        missed = [run for run in runs if run.id not in written]
        return written | self._finished_before(missed) if missed else written

    def _cancelled(self, run: TaskRun, entry: Mapping[str, Any]) -> bool:
        asked = {"cancel_requested_at": self._asked_since()}
        return self._ended(run, RunState.CANCELLED, entry, **asked)

    def _ended(self, run: TaskRun, state: RunState, entry: Mapping[str, Any], **more: Any) -> bool:
        now = self.read_clock()
        facts = {"attempt": run.attempts, "at": now.isoformat(), "worker_id": None}
        errors = [*run.errors, {**facts, **entry}]
        changes = {"state": state.value, "finished_at": now, "errors": errors}
        rows = self._unchanged(run)
        for name, value in changes.items():
            setattr(run, name, value)
        return bool(rows.update(claim_token=None, **changes, **more))  # nobody finishes it twice

    def _unfinished(self, run_id: UUID) -> TaskRunQuerySet:
        return self.runs.filter(id=run_id).exclude(state__in=FINISHED)

    def _unchanged(self, run: TaskRun) -> TaskRunQuerySet:
        """The row, if its life has not gone on since it was read."""
        return self.runs.filter(
            id=run.id,
            state=run.state,
            claim_token=run.claim_token,
            attempts=run.attempts,
            failures=run.failures,
        )

    @staticmethod
    def _asked_since() -> Coalesce:
        return Coalesce("cancel_requested_at", DatabaseClock())

    def _lost(self) -> TaskRunQuerySet:
        return self.runs.in_hand().filter(~Exists(self._their_workers()))

    def _update_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> int:
        """Update up to ``limit`` of these rows that no other session holds; say how many."""
        # Not in one statement: PostgreSQL may execute a locking subquery more than once.
        with transaction.atomic(using=self.alias):
            free = some.select_for_update(skip_locked=True).values_list("id", flat=True)
            ids = list(free[:limit])
            return self.runs.filter(id__in=ids).update(**changes) if ids else 0

    def _change_some(self, some: TaskRunQuerySet, limit: int, **changes: Any) -> list[TaskRun]:
        """As ``_update_some``; the rows as they were."""
        with transaction.atomic(using=self.alias):
            runs = list(some.select_for_update(skip_locked=True)[:limit])
            self.runs.filter(id__in=[run.id for run in runs]).update(**changes)
        return runs

    def _aged(self, rule: Rule) -> TaskRunQuerySet:
        since = DatabaseClock(-rule.age)
        return self.runs.filter(state=RunState(rule.outcome), finished_at__lte=since)

    def _delete(self, some: TaskRunQuerySet) -> int:
        """Delete these rows but for those that another session holds; say how many went."""
        with transaction.atomic(using=self.alias):
            free = some.select_for_update(skip_locked=True).values_list("id", flat=True)
            ids = list(free)
            return self.runs.filter(id__in=ids)._raw_delete(self.alias) if ids else 0

    def _finished_before(self, runs: Sequence[TaskRun]) -> set[UUID]:
        tokens = {run.id: run.claim_token for run in runs}
        finished = self.runs.finished().filter(id__in=list(tokens))
        rows = finished.values_list("id", "claim_token")
        return {run_id for run_id, token in rows if token == tokens[run_id]}

    @staticmethod
    def _their_workers() -> WorkerQuerySet:
        return Worker.objects.living().filter(id=OuterRef("claimed_by"))

    def _fetch(self, statement: str, parameters: Any) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return list(cursor.fetchall())

    def _quoted(self, model: type[models.Model]) -> str:
        return self.connection.ops.quote_name(model._meta.db_table)

    def _in_common(self, runs: Sequence[TaskRun]) -> dict[str, Any]:
        """What runs that are enqueued together have in common, prepared once for all of them."""
        names = [field.attname for field in TaskRun._meta.concrete_fields]
        return {
            name: self._prepared(name, [getattr(runs[0], name)])[0]
            for name in names
            if name not in OWN
        }

    def _prepared(self, column: str, values: Iterable[Any]) -> list[Any]:
        field = cast("models.Field[Any, Any]", TaskRun._meta.get_field(column))
        connection = self.connection  # which takes a while to find
        return [field.get_db_prep_save(value, connection) for value in values]


def _size(run: TaskRun) -> int:
    """The bytes of a new run that may be many."""
    return sum(map(jsonvalue.size, (run.args, run.kwargs, run.metadata)))


def _is_success_of(run: TaskRun, row: TaskRun) -> bool:
    return row.state == RunState.SUCCESSFUL and row.claim_token == run.claim_token


def _later(moment: datetime, seconds: float) -> datetime | None:
    """So many seconds after this moment; None if no date is as late."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return None


def fresh_token() -> UUID:
    """A claim token: never used twice."""
    return uuid4()


def in_line(queues: Sequence[str], room: Mapping[str, int], places: Places) -> list[Line]:
    """The lines to claim from."""
    wanted = [(executor, free) for executor, free in room.items() if free > 0]
    return [
        Line(queue, executor, free, places.get((queue, executor)))
        for queue in queues
        for executor, free in wanted
    ]
