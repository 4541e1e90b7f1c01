"""Claim: lock the heads of the lanes in the order of their index, then write."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any
from uuid import UUID, uuid4

from django.db.models import Min

from taskworks.database.clock import DatabaseClock
from taskworks.models import Pause, TaskRun
from taskworks.models.run import in_claim_order
from taskworks.store.claiming import Lane, Outlook, outlook_of
from taskworks.store.mysql.lock_waits import LockWaits
from taskworks.store.statements import as_hex


class ClaimsByLock(LockWaits):
    """Claims without UPDATE ... RETURNING."""

    """A store on MySQL or MariaDB, which lock every index entry that a statement passes."""

    shared_lock = "LOCK IN SHARE MODE"
    max_queues = 50  # each costs a look a statement, and a claim one per executor
    max_closed_lanes = 100  # each costs a claim a statement

    def ready_queues(
        self, backend: str, after: str | None = None, limit: int | None = None
    ) -> list[str]:
        # One query per queue: for a recursive query, or DISTINCT, MySQL reads everything ready.
        return [*islice(self._ready_queues_after(after, backend), limit)]

    def _ready_queues_after(self, name: str | None, backend: str) -> Iterator[str]:
        # Without a condition on lane, which comes behind the queue's name in the index. With none
        # on the first name: one that begins with a control character is less than "".
        ready = self.runs.ready().filter(limit_name=None, backend=backend)
        later = ready if name is None else ready.filter(queue_name__gt=name)
        while name := later.aggregate(name=Min("queue_name"))["name"]:
            yield name
            later = ready.filter(queue_name__gt=name)

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
                for run in in_claim_order(runs)[: room[executor]]
            ]
            runs = in_claim_order(first)[:limit]
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
        given = [self.rows.writer(name)(value) for name, value in claim.items()]
        ids = [as_hex(run.id.int) for run in runs]
        # Without Django's machinery, which does more for each id than MySQL does.
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"""
                UPDATE {self._quoted(TaskRun)} SET state = 'claimed',
                    {", ".join(f"{name} = %s" for name in claim)}
                WHERE id IN ({", ".join(["%s"] * len(ids))})""",  # noqa: S608 - only names
                [*given, *ids],
            )
        for run in runs:
            run.__dict__.update(claim)
        return runs
