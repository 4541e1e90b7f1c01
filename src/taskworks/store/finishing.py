"""What a worker writes about the runs that it has claimed: start, progress, outcome."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from taskworks.models import RunState, TaskRun
from taskworks.store.base import Base

STARTED = (
    "state",
    "attempts",
    "worker_ids",
    "started_at",
    "last_attempted_at",
    "missing_since",
)
FINISH = (*STARTED, "failures", "finished_at", "return_value", "errors")
PROGRESS = ("target", "progress", "messages", "metadata")
REQUEUE = (
    *STARTED,
    "failures",
    "crashes",
    "executor",
    "available_at",
    "expires_at",
    "errors",
)


class Finishing(Base):
    """Write an attempt from its start to its end; release runs that are not executed."""

    def start(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """
        Write that the attempts of these claimed runs have begun.

        May be repeated if its answer was lost.
        """
        return self._write(runs, STARTED)

    def write_progress(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Write the progress, messages and metadata of running tasks."""
        return self._write(runs, PROGRESS)

    def commit(self, run: TaskRun) -> bool:
        """
        Write a run's outcome and progress in the transaction of its own task, which commits next.
        Return False if the run is no longer ours.
        """
        return bool(self._write([run], (*FINISH, *PROGRESS)))

    def committed(self, runs: Sequence[TaskRun]) -> dict[UUID, TaskRun | None]:
        """
        Return, for each of these claimed runs, its row if its task's own transaction committed, and
        None if it did not. Runs whose transaction may still commit are left out.
        """
        ids = [run.id for run in runs]
        with self.locking():  # such a transaction has locked its row
            free = self.runs.select_for_update(skip_locked=True).filter(id__in=ids)
            rows = {row.id: row for row in free}
        held = set(self.runs.filter(id__in=ids).values_list("id", flat=True)) - set(rows)
        return {
            run.id: row if (row := rows.get(run.id)) and _is_success_of(run, row) else None
            for run in runs
            if run.id not in held
        }

    def finish(self, runs: Sequence[TaskRun], columns: Sequence[str] = FINISH) -> set[UUID]:
        """
        Write the outcomes of these runs, and that they began.

        May be repeated if its answer was lost: a run that was finished under this claim before
        counts as written.
        """
        written = self._write(runs, columns, cancel_wins=True)
        if len(written) == len(runs):
            return written
        return written | self._finished_before([run for run in runs if run.id not in written])

    def poison(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """As ``finish``, and write how often the runs have crashed their processes."""
        return self.finish(runs, (*FINISH, "crashes"))

    def _finished_before(self, runs: Sequence[TaskRun]) -> set[UUID]:
        tokens = {run.id: run.claim_token for run in runs}
        finished = self.runs.finished().filter(id__in=list(tokens))
        rows = finished.values_list("id", "claim_token")
        return {run_id for run_id, token in rows if token == tokens[run_id]}

    def requeue(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """
        Put runs back, to be executed again at the ``available_at`` that ``settle`` has given them,
        with their new counts.
        """
        written = self._write(runs, REQUEUE, ends_claim=True, cancel_wins=True)
        return self._notify_queues_of(runs, written)

    def release(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """Put claimed or running runs back in their old places, with their old counts."""
        written = self._write(runs, STARTED, ends_claim=True, cancel_wins=True)
        return self._notify_queues_of(runs, written)

    def locked_elsewhere(self, ids: Collection[UUID]) -> set[UUID]:
        """Return those of these runs that another session has locked; none on SQLite."""
        with self.locking():
            free = self._lock_free_rows(ids)
        there = self.runs.filter(id__in=ids).values_list("id", flat=True)
        return {*there}.difference(free)

    def release_strays(self, worker: UUID, known: Iterable[UUID]) -> int:
        """Release runs that were claimed for this worker by a claim whose answer was lost."""
        strays = self.runs.filter(state=RunState.CLAIMED, claimed_by=worker)
        released = strays.exclude(id__in=list(known)).update(
            state=RunState.READY, claimed_by=None, claim_token=None
        )
        return self._notify_if_any(released)


def _is_success_of(run: TaskRun, row: TaskRun) -> bool:
    return row.state == RunState.SUCCESSFUL and row.claim_token == run.claim_token
