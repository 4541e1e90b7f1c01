"""
Runs on MySQL and MariaDB, which have no UPDATE ... RETURNING: lock, then write, in a transaction.

Rows are locked in the order of an index and without waiting, so that two workers cannot deadlock.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from taskworks.models import RunState, TaskRun
from taskworks.models.run import TaskRunQuerySet, claim_order
from taskworks.store.base import FORGOTTEN, STANDS, Line, Store, fresh_token, in_line
from taskworks.store.clock import DatabaseClock


class MySQLStore(Store):
    def read_clock(self) -> datetime:
        clock, offset = DatabaseClock().as_mysql(None, self.connection)
        [(now,)] = self._fetch(f"SELECT {clock}", offset)
        zone = self.connection.timezone
        return timezone.make_aware(now, zone) if zone else now

    def ready_queues(self, backend: str) -> list[str]:
        # A probe a queue: MySQL reads all that is ready for one recursive query, or a DISTINCT.
        ready = self.runs.ready().filter(backend=backend)
        queues: list[str] = []
        while name := ready.aggregate(name=Min("queue_name"))["name"]:
            queues.append(name)
            ready = ready.filter(queue_name__gt=name)
        return queues

    def _claim(
        self,
        worker: UUID,
        backend: str,
        queues: Sequence[str],
        room: Mapping[str, int],
        limit: int,
    ) -> list[TaskRun]:
        with transaction.atomic(using=self.alias):
            heads: dict[str, list[TaskRun]] = {executor: [] for executor in room}
            for line in in_line(queues, room):
                heads[line.executor] += self._locked(backend, line)
            first = [
                run
                for executor, runs in heads.items()
                for run in sorted(runs, key=claim_order)[: room[executor]]
            ]
            runs = sorted(first, key=claim_order)[:limit]
            return self._handed_over(runs, worker) if runs else []

    def _locked(self, backend: str, line: Line) -> TaskRunQuerySet:
        ready = self.runs.ready().filter(
            backend=backend, queue_name=line.queue_name, executor=line.executor
        )
        in_order = ready.order_by("rank", "available_at", "id")
        return in_order.select_for_update(skip_locked=True)[: line.room]

    def _handed_over(self, runs: list[TaskRun], worker: UUID) -> list[TaskRun]:
        now, token = self.read_clock(), fresh_token()
        if not self.workers.living().filter(id=worker).exists():
            return []
        changes = {
            "state": RunState.CLAIMED,
            "claimed_by": worker,
            "claim_token": token,
            "claimed_at": now,
        }
        self.runs.filter(id__in=[run.id for run in runs]).update(**changes)
        for run in runs:
            for name, value in changes.items():
                setattr(run, name, value)
        return runs

    def cancel(self, run_id: UUID, entry: Mapping[str, Any]) -> RunState | None:
        with transaction.atomic(using=self.alias):
            return super().cancel(run_id, entry)

    def _unfinished(self, run_id: UUID) -> TaskRunQuerySet:
        # A REPEATABLE READ transaction would see the row as it was, however often it looked.
        return super()._unfinished(run_id).select_for_update()

    def _write(
        self,
        runs: Sequence[TaskRun],
        columns: Sequence[str],
        *,
        guard: Sequence[RunState],
        forget_claim: bool = False,
        heed_cancel: bool = False,
    ) -> set[UUID]:
        changes = [f"{column} = %s" for column in columns]
        if forget_claim:
            changes += FORGOTTEN
        statement = f"""
            UPDATE {self._quoted(TaskRun)} SET {", ".join(changes)}
            WHERE id = %s AND claim_token = %s
                AND state IN ({", ".join(["%s"] * len(guard))})"""  # noqa: S608 - only names
        names = [*columns, "id", "claim_token"]
        heeding = f"{statement} AND cancel_requested_at IS NULL" if heed_cancel else statement
        written = set()
        with transaction.atomic(using=self.alias), self.connection.cursor() as cursor:
            for run in sorted(runs, key=lambda run: run.id):
                values = [self._prepared(name, [getattr(run, name)])[0] for name in names]
                cursor.execute(
                    statement if run.state in STANDS else heeding,
                    [*values, *(state.value for state in guard)],
                )
                if cursor.rowcount:
                    written.add(run.id)
        return written
