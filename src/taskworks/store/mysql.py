"""
Runs on MySQL and MariaDB, which have no UPDATE ... RETURNING: lock, then write, in a transaction.

Claims lock rows in the order of an index without waiting, so that two workers cannot deadlock.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain, islice, takewhile
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.db import Error as DatabaseError
from django.db import OperationalError, transaction
from django.db.models import Count, Min, Model

from taskworks import real_time as time
from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, Pause, RunState, TaskRun, UniqueKey
from taskworks.models.pause import Scope
from taskworks.models.run import TaskRunQuerySet, claim_order
from taskworks.options.unique import Unique
from taskworks.store.base import MAX_LOCK_WAIT
from taskworks.store.cancelling import WAITING
from taskworks.store.claiming import Lane, Outlook, outlook_of
from taskworks.store.counting import Queue
from taskworks.store.enqueueing import MAX_TRIES, Insert, Once
from taskworks.store.limited_names import (
    COLUMNS,
    FIRST_NAME,
    MAX_NAMES,
    Answers,
    LimitedName,
    Values,
)
from taskworks.store.limiting import FIRST, Line, Share
from taskworks.store.new_runs import NewRuns
from taskworks.store.rating import OpenLane
from taskworks.store.statements import Change, bytes_of, per_statement
from taskworks.store.unique_runs import MAX_PATIENCE, Call, Standing, overdue
from taskworks.store.verbs import Store

LOCK_WAIT_TIMEOUT, DEADLOCK = 1205, 1213

NOBODY = UUID(int=0)
BUSY_INTERVAL = 0.01  # seconds between two looks at whether a run's row is free

T = TypeVar("T")

# How long a statement of the current transaction may wait for a lock, where that is limited.
_longest_wait: ContextVar[timedelta | None] = ContextVar("longest_wait", default=None)


class MySQLStore(Store):
    """A store on MySQL or MariaDB, which lock every index entry that a statement passes."""

    shared_lock = "LOCK IN SHARE MODE"
    max_queues = 50  # each costs a look a statement, and a claim one per executor
    max_closed_lanes = 100  # each costs a claim a statement

    def ready_queues(
        self, backend: str, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        # One query per queue: for a recursive query, or DISTINCT, MySQL reads everything ready.
        return [*islice(self._ready_queues_after(after or "", backend), limit)]

    def _ready_queues_after(self, name: str, backend: str) -> Iterator[str]:
        # Without a condition on lane, which comes behind the queue's name in the index.
        ready = self.runs.ready().filter(limit_name=None, backend=backend)
        while name := ready.filter(queue_name__gt=name).aggregate(name=Min("queue_name"))["name"]:
            yield name

    def ready_heads(self, backends: Sequence[str], most: int) -> dict[Queue, float | None]:
        # As for ready_queues, and without the times: that would be a query for each priority.
        found = (
            ((backend, name), None)
            for backend in backends
            for name in self._ready_queues_after("", backend)
        )
        return dict(islice(found, most))

    def outlook(self, backend: str, after: str | None = None, limit: int | None = None) -> Outlook:
        due_in, clock = self._seconds_until("MIN(available_at)")
        table = self._quoted(TaskRun)
        begins, names = ("", []) if after is None else ("AND queue_name > %s", [after])
        ready = f"FROM {table} WHERE state = 'ready' AND {self._unlimited}"
        ready = f"{ready} AND backend = %s {begins}"
        statement = f"""
            SELECT
                (SELECT MIN(queue_name) {ready}),
                (SELECT {due_in} FROM {table} WHERE state = 'scheduled'),
                EXISTS (SELECT 1 FROM {self._quoted(Pause)} WHERE backend IN (%s, '')),
                (SELECT MIN(limit_name) FROM {table} WHERE state = 'ready' AND {self._limited})
            """  # noqa: S608 - names of tables
        [row] = self._fetch(statement, [backend, *names, *clock, backend])
        first, seconds, has_pauses, limited = row
        queues = [] if first is None else chain([first], self._ready_queues_after(first, backend))
        pauses = self._read_pauses(backend) if has_pauses else []
        some = [*islice(queues, limit)]
        return outlook_of(backend, some, limit, seconds, pauses, has_limited=limited is not None)

    def _read_pauses(self, backend: str) -> list[tuple[Any, ...]]:
        pauses, parameters = self._pauses_of(backend)
        return self._fetch(f"SELECT {pauses}", parameters)

    @property
    def _unlimited(self) -> str:
        return "limit_name IS NULL"

    @property
    def _limited(self) -> str:
        return "limit_name > ''"

    def _seconds_until(self, moment: str) -> tuple[str, Sequence[Any]]:
        clock, offset = DatabaseClock().as_mysql(None, self.connection)
        return f"TIMESTAMPDIFF(MICROSECOND, {clock}, {moment}) / 1000000", offset

    def _claim(
        self, worker: UUID, backend: str, lanes: Sequence[Lane], limit: int
    ) -> list[TaskRun]:
        room = {lane.executor: lane.room for lane in lanes}
        with self.locking():
            heads: dict[str, list[TaskRun]] = {executor: [] for executor in room}
            for lane in lanes:
                heads[lane.executor] += self._lock_head(backend, lane)
            first = [
                run
                for executor, runs in heads.items()
                for run in sorted(runs, key=claim_order)[: room[executor]]
            ]
            runs = sorted(first, key=claim_order)[:limit]
            return self._hand_over(runs, worker) if runs else []

    def _lock_head(self, backend: str, lane: Lane) -> list[TaskRun]:
        """Lock the first runs of a lane that no other session has locked, and return them."""
        statement = f"""
            SELECT {self.rows.columns()} FROM {self._quoted(TaskRun)}
            WHERE state = 'ready' AND limit_name IS NULL AND lane IS NULL
                AND backend = %s AND queue_name = %s AND executor = %s
            ORDER BY `rank`, available_at, id LIMIT %s
            FOR UPDATE SKIP LOCKED"""  # noqa: S608 - only names are put in
        return self.rows.claimed(
            self._fetch(statement, [backend, lane.queue_name, lane.executor, lane.room])
        )

    def _hand_over(self, runs: list[TaskRun], worker: UUID) -> list[TaskRun]:
        """Write that this worker has these locked runs; return none if it was given up."""
        living = self.workers.living().filter(id=worker)
        now = living.annotate(now=DatabaseClock()).values_list("now", flat=True).first()
        if now is None:
            return []
        claim = {"claimed_by": worker, "claim_token": uuid4(), "claimed_at": now}
        ids = [run.id for run in runs]
        self.runs.filter(id__in=ids).update(state=RunState.CLAIMED, **claim)
        for run in runs:
            run.__dict__.update(claim)
        return runs

    def limited_names(
        self,
        after: LimitedName = FIRST_NAME,
        most: int = MAX_NAMES,
        known: Iterable[LimitedName] = (),
    ) -> list[LimitedName]:
        # As for ready_queues, but all probes that are known to be needed are one statement.
        answers = Answers(after, most, _first_after(after, known, most))
        names: list[LimitedName] = []
        while answers.open:
            names = answers.take_in(self._following_values(answers.open))
        return names

    def _following_values(self, questions: Sequence[Values]) -> dict[Values, str | None]:
        probes, parameters = [], list[Any]()
        for place, question in enumerate(questions):
            column = COLUMNS[len(question) - 1]
            same = "".join(f" AND {name} = %s" for name in COLUMNS[: len(question) - 1])
            probes.append(f"""
                SELECT {place}, MIN({column}) FROM {self._quoted(TaskRun)}
                WHERE state = 'ready'{same} AND {column} > %s""")  # noqa: S608 - names
            parameters += question
        rows = self._fetch(" UNION ALL ".join(probes), parameters)
        return {questions[place]: value for place, value in rows}

    # MariaDB has no LATERAL, and both read everything ready for a recursive query. So lanes are
    # found one by one, and the slots in use are counted once for all of them.

    def _open_lanes(self, line: Line, after: str, at_once: int | None, most: int) -> list[OpenLane]:
        in_use: Counter[str] = Counter()
        if at_once is not None:
            held = self.runs.in_hand().filter(limit_name=line.limit, lane__isnull=False)
            in_use.update(dict(held.values_list("lane").annotate(Count("lane")).order_by()))
        limit = math.inf if at_once is None else at_once
        closed = {*line.closed}
        lanes = (
            OpenLane(lane, limit - in_use[lane])
            for lane in self._lanes_in_turn(line, after)
            if lane not in closed
        )
        return [*islice((lane for lane in lanes if lane.room > 0), most)]

    def _lanes_in_turn(self, line: Line, after: str) -> Iterator[str]:
        """Yield the lanes with ready runs: those after a lane, then those up to it."""
        yield from self._lanes_after(line, after)
        if after != FIRST:
            yield from takewhile(self._up_to(after), self._lanes_after(line, FIRST))

    def _lanes_after(self, line: Line, lane: str | None) -> Iterator[str]:
        first = "SELECT MIN(lane) AS lane FROM {} WHERE state = 'ready' AND limit_name = %s"
        of_queue = f"""
            {first.format(self._quoted(TaskRun))} AND backend = %s
                AND queue_name = %s AND executor = %s AND lane > %s"""
        statement = f"""
            SELECT MIN(lane) FROM ({" UNION ALL ".join([of_queue] * len(line.queues))}) AS first"""  # noqa: S608 - names
        while lane is not None:
            parameters = [
                value
                for queue in line.queues
                for value in (line.limit, line.backend, queue, line.executor, lane)
            ]
            [(lane,)] = self._fetch(statement, parameters)
            if lane is not None:
                yield lane

    @staticmethod
    def _up_to(last: str) -> Callable[[str], bool]:
        """Return whether a lane is not after the last, in the order of utf8mb4_bin."""
        return lambda lane: lane.encode() <= last.encode()

    def _take(self, worker: UUID, line: Line, shares: Sequence[Share]) -> list[TaskRun]:
        head = f"""
            (SELECT {self.rows.columns_of_limited()} FROM {self._quoted(TaskRun)}
            WHERE state = 'ready' AND limit_name = %s AND backend = %s AND queue_name = %s
                AND executor = %s AND lane = %s
            ORDER BY `rank`, available_at, id LIMIT %s
            FOR UPDATE SKIP LOCKED)"""  # noqa: S608 - only names are put in
        heads = [(share, queue) for share in shares for queue in line.queues]
        parameters = [
            value
            for share, queue in heads
            for value in (line.limit, line.backend, queue, line.executor, *share)
        ]
        rows = self._fetch(" UNION ALL ".join([head] * len(heads)), parameters)
        left = Counter(dict(shares))
        runs = [
            run
            for run in self.rows.claimed_limited(rows, limit_name=line.limit)
            if _take_one(left, run.lane)
        ]
        return self._hand_over(runs, worker) if runs else []

    def _limit_transaction(self, silence: timedelta, wait: timedelta | None) -> None:
        _longest_wait.set(wait)
        # MariaDB has the first limit for sessions only, MySQL not at all.
        limits = {"idle_transaction_timeout": silence} if self._is_mariadb else {}
        if wait is not None:  # the second is for locks of tables
            limits["innodb_lock_wait_timeout"] = limits["lock_wait_timeout"] = wait
        if limits:
            self._set_limits(limits)

    def _lift_limits(self, wait: timedelta | None) -> None:
        _longest_wait.set(None)
        names = ["idle_transaction_timeout"] if self._is_mariadb else []
        if wait is not None:
            names += ["innodb_lock_wait_timeout", "lock_wait_timeout"]
        if names:
            self._restore(*names)

    @property
    def _is_mariadb(self) -> bool:
        connection: Any = self.connection
        return bool(connection.mysql_is_mariadb)

    @contextmanager
    def _limited_lock_wait(self) -> Iterator[str]:
        """
        Limit the wait for locks in this block, unless the transaction is the caller's. Give what to
        put before each of its statements.
        """
        name, is_outermost = "innodb_lock_wait_timeout", self.connection.get_autocommit()
        if self._is_mariadb or not is_outermost:
            limit = f"{name} = {int(MAX_LOCK_WAIT.total_seconds())}"
            yield f"SET STATEMENT {limit} FOR" if is_outermost else ""
            return
        self._set_limits({name: MAX_LOCK_WAIT})
        try:
            yield ""
        finally:
            self._restore(name)

    def _set_limits(self, longest: Mapping[str, timedelta]) -> None:
        """Set variables of the session, and keep their old values for ``_restore``."""
        kept = [f"@taskworks_{name} = @@SESSION.{name}" for name in longest]
        limits = [f"SESSION {name} = {int(longest[name].total_seconds())}" for name in longest]
        self._set(", ".join([*kept, *limits]))

    def _restore(self, *names: str) -> None:
        # If the connection was closed, the session and its limits are gone.
        if self.connection.connection:
            with suppress(DatabaseError):  # the statements of the block are committed
                self._set(", ".join(f"SESSION {name} = @taskworks_{name}" for name in names))

    def _set(self, variables: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(f"SET {variables}")

    def is_lock_timeout(self, error: DatabaseError) -> bool:
        return error.args[:1] == (LOCK_WAIT_TIMEOUT,)

    def _enqueued_first(self, new: NewRuns, once: Once, insert: Insert | None) -> bool:
        try:
            return super()._enqueued_first(new, once, insert)
        except OperationalError as error:
            # Sessions that wait for the same key may deadlock if its insert is rolled back. They
            # try again, except in the caller's transaction, which a deadlock ends.
            if error.args[0] != DEADLOCK or self.connection.in_atomic_block:
                raise
            return False

    def enqueue_unique(self, call: Call, insert: Callable[[NewRuns], None]) -> Standing:
        return self._despite_deadlocks(partial(super().enqueue_unique, call, insert))

    def _take_free(self, ids: dict[UUID, UUID]) -> set[UUID]:
        # Look first: an insert that meets a key keeps a shared lock on it, and two sessions with
        # shared locks that both take the key over deadlock.
        known = {*self.keys.filter(key__in=[*ids]).values_list("key", flat=True)}
        free = {key: run for key, run in ids.items() if key not in known}
        rows = [UniqueKey(key=key, run=run) for key, run in free.items()]
        self.keys.bulk_create(rows, ignore_conflicts=True)
        mine = self.keys.filter(key__in=[*free], run__in=[*free.values()])
        return {*mine.values_list("key", flat=True)} if free else set()

    def _hold_back(self, ids: Collection[UUID], unique: Unique) -> set[UUID]:
        # One after another, because InnoDB undoes no locks before the end of the transaction.
        give_up_at = time.monotonic() + MAX_PATIENCE.total_seconds()
        return {run_id for run_id in sorted(ids) if self._is_held_back(run_id, unique, give_up_at)}

    def _is_held_back(self, run_id: UUID, unique: Unique, give_up_at: float) -> bool:
        # Without waiting for a lock, which InnoDB keeps then even if the row no longer matches.
        longest = _longest_wait.get() or timedelta.max
        timeout_at = time.monotonic() + longest.total_seconds()
        while not self._locked_not_begun([run_id], skip_locked=True):
            is_patient = self._not_begun([run_id]).exclude(**overdue(unique)).exists()
            if not is_patient or time.monotonic() >= give_up_at:
                return False
            if time.monotonic() >= timeout_at:
                raise OperationalError(LOCK_WAIT_TIMEOUT, f"The run {run_id} is locked.")
            time.sleep(BUSY_INTERVAL)
        return True

    def _locked_not_begun(self, ids: Collection[UUID], *, skip_locked: bool) -> set[UUID]:
        write = self.rows.writer("id")
        waiting = ", ".join(f"'{state.value}'" for state in WAITING)
        # A row that does not match is unlocked again, but not that of a single id, which would be
        # read as a constant.
        statement = f"""
            SELECT id FROM {self._quoted(TaskRun)} FORCE INDEX (PRIMARY)
            WHERE id IN ({", ".join(["%s"] * (len(ids) + 1))})
                AND attempts = 0 AND last_attempted_at IS NULL AND state IN ({waiting})
            ORDER BY id FOR UPDATE {"SKIP LOCKED" if skip_locked else ""}"""  # noqa: S608 - names
        rows = self._fetch(statement, [*map(write, [NOBODY, *sorted(ids)])])
        return {UUID(str(run_id)) for (run_id,) in rows}

    def pause(self, scope: Scope, **options: Any) -> Pause:
        return self._despite_deadlocks(partial(super().pause, scope, **options))

    def resume(self, scope: Scope) -> bool:
        return self._despite_deadlocks(partial(super().resume, scope))

    def _despite_deadlocks(self, write: Callable[[], T]) -> T:
        """
        Write a row that others may be writing, in a transaction of its own, as often as it takes:
        inserts and deletions of one key may deadlock. In the caller's transaction, which a deadlock
        ends, only once.
        """
        for _ in range(MAX_TRIES):
            try:
                return write()
            except OperationalError as error:
                if error.args[0] != DEADLOCK or self.connection.in_atomic_block:
                    raise
        return write()

    def cancel(self, run_id: UUID, entry: Mapping[str, Any]) -> RunState | None:
        with transaction.atomic(using=self.alias):
            return super().cancel(run_id, entry)

    # Lock rows by the primary key, whatever the planner prefers: it might scan a small table and
    # lock other rows too, which another session would then wait for or skip.

    def _lock_free_edges(self, ids: Sequence[int]) -> list[int]:
        return self._lock_by_key(Edge, ids)

    def _delete_by_key(self, model: type[Model], keys: Collection[Any]) -> int:
        if not keys:
            return 0
        # DELETE ignores FORCE INDEX, but respects the order of a join.
        mine = " UNION ALL ".join(["SELECT %s AS id"] * len(keys))
        key: Any = model._meta.pk
        name = self.connection.ops.quote_name(key.column)
        statement = f"""
            DELETE kept FROM ({mine}) AS mine
            STRAIGHT_JOIN {self._quoted(model)} AS kept ON kept.{name} = mine.id"""
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [key.get_db_prep_save(one, self.connection) for one in keys])
            return int(cursor.rowcount)

    def _lock_free_rows(self, ids: Collection[UUID]) -> list[UUID]:
        write = self.rows.writer("id")
        return [UUID(str(run_id)) for run_id in self._lock_by_key(TaskRun, [*map(write, ids)])]

    def _lock_by_key(self, model: type[Model], ids: Sequence[Any]) -> list[Any]:
        """Lock those of these rows that no other session has locked; return their ids."""
        if not ids:
            return []
        statement = f"""
            SELECT id FROM {self._quoted(model)} FORCE INDEX (PRIMARY)
            WHERE id IN ({", ".join(["%s"] * len(ids))})
            FOR UPDATE SKIP LOCKED"""  # noqa: S608 - a table's name
        return [row[0] for row in self._fetch(statement, ids)]

    def _unfinished(self, run_id: UUID) -> TaskRunQuerySet:
        # Locked, because a REPEATABLE READ transaction would otherwise read the old row each time.
        return super()._unfinished(run_id).select_for_update()

    def _apply(self, change: Change) -> set[UUID]:
        written: set[UUID] = set()
        for rows in per_statement(change.rows, bytes_of):
            written |= self._apply_rows(replace(change, rows=[*rows]))
        return written

    def _apply_rows(self, change: Change) -> set[UUID]:
        """Lock the rows that are still ours, then write them."""
        keys, key_values = _as_table(change, only=("id", "claim_token", "state"))
        new, values = _as_table(change)
        with (
            self._limited_lock_wait() as limited,
            self.locking(),
            self.connection.cursor() as cursor,
        ):
            cursor.execute(
                f"""
                {limited} SELECT run.id FROM {self._quoted(TaskRun)} AS run
                JOIN {keys} ON run.id = new.id
                WHERE {change.condition()} ORDER BY run.id FOR UPDATE""",  # noqa: S608 - names
                [*key_values, *change.token],
            )
            ours = {row[0] for row in cursor.fetchall()}
            if ours:
                cursor.execute(
                    f"""
                    {limited} UPDATE {self._quoted(TaskRun)} AS run JOIN {new} ON run.id = new.id
                    SET {change.assignments("run.")}
                    WHERE {change.condition()}""",  # noqa: S608 - only names are put in
                    [*values, *change.assigned, *change.token],
                )
        return {UUID(str(run_id)) for run_id in ours}

    def _insert_due(self, new: NewRuns) -> None:
        if not self._is_mariadb:  # MySQL returns nothing of what it inserts
            return super()._insert_due(new)
        clock, offset = DatabaseClock().as_mysql(None, self.connection)
        statement, values = self.rows.insertion_of_one(new, clock, returning="enqueued_at")
        [(stored,)] = self._fetch(statement, [*values, *offset, *offset])
        new.enqueued_at = new.available_at = self.rows.read("enqueued_at", stored)
        return None

    def _insert(
        self, shared: dict[str, Any], columns: Sequence[str], own: Sequence[tuple[Any, ...]]
    ) -> None:
        names = ", ".join(map(self.connection.ops.quote_name, [*columns, *shared]))
        row = f"({', '.join(['%s'] * (len(columns) + len(shared)))})"
        statement = f"""
            INSERT INTO {self._quoted(TaskRun)} ({names})
            VALUES {", ".join([row] * len(own))}"""  # noqa: S608 - only names of columns are put in
        with self.connection.cursor() as cursor:
            cursor.execute(statement, [v for row in own for v in (*row, *shared.values())])


def _as_table(change: Change, only: Collection[str] = ()) -> tuple[str, list[Any]]:
    """Return the SQL of a table of the rows, or of only these columns of theirs, and its values."""
    places = [place for place, name in enumerate(change.own) if not only or name in only]
    row = "SELECT " + ", ".join(f"%s AS {change.own[place]}" for place in places)
    values = [row[place] for row in change.rows for place in places]
    return f"({' UNION ALL '.join([row] * len(change.rows))}) AS new", values


def _first_after(after: LimitedName, names: Iterable[LimitedName], most: int) -> list[LimitedName]:
    """Return the first of these names that come after one, in the order of utf8mb4_bin."""

    def place(name: LimitedName) -> list[bytes]:
        return [value.encode() for value in name]

    later = (name for name in {*names} if place(name) > place(after))
    return sorted(later, key=place)[:most]


def _take_one(left: Counter[str], lane: str | None) -> bool:
    """Count down what is left of a lane; return False if nothing is."""
    left[lane or ""] -= 1
    return left[lane or ""] >= 0
