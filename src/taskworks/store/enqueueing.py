"""Enqueue runs, each once per idempotency key if it has one, or take them over from elsewhere."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError

from taskworks.database.clock import later
from taskworks.database.notifications import NOTIFY_IF_DUE_WITHIN
from taskworks.database.transactions import writing
from taskworks.models import IdempotencyKey, RunState, TaskRun
from taskworks.store.base import Base
from taskworks.store.statements import bytes_of, per_statement

MAX_TRIES = 10  # to take an idempotency key that others free and take again


class Once(NamedTuple):
    """An idempotency key, and a digest of the request that uses it."""

    key: UUID
    request: str  # 64 characters


class KeyUsedOtherwise(Exception):  # noqa: N818 - not a programming error
    """The key has started a run for a different request."""


class Enqueueing(Base):
    """Insert runs."""

    def enqueue(
        self,
        runs: Sequence[TaskRun],
        delay: timedelta | None = None,
        expires: float = math.inf,
    ) -> None:
        """
        Insert new runs, in the caller's transaction if there is one.

        Several runs may differ only in their ids and arguments. They become ready, or scheduled if
        ``run_after`` is in the future. ``delay`` sets a run_after relative to now; ``expires`` is
        how many seconds a run may wait once it is due. Times and states are set on ``runs``.
        """
        if not runs:
            return
        is_due = delay is None and runs[0].run_after is None
        if len(runs) == 1 and is_due and expires == math.inf:
            self._insert_now(runs[0])
        else:
            now = self.read_clock()
            for run in runs:
                _schedule(run, now, delay, expires)
            self._insert_all(runs)
        if runs[0].available_at - runs[0].enqueued_at < NOTIFY_IF_DUE_WITHIN:
            self.notify_workers(runs[0].backend, runs[0].queue_name)

    def enqueue_once(
        self,
        run: TaskRun,
        once: Once,
        delay: timedelta | None = None,
        expires: float = math.inf,
    ) -> TaskRun:
        """
        Insert a new run as ``enqueue`` does, together with its key. Return the run, or the one that
        the key started before; of two simultaneous requests, one waits for the other. Raise
        KeyUsedOtherwise if the key was used for a different request.
        """
        tries = 0
        while not self._enqueued_first(run, once, delay, expires):
            if first := self._started_by(once):
                return first
            tries += 1
            if tries == MAX_TRIES:  # in a transaction that does not see what others commit
                raise IntegrityError(
                    f"The idempotency key {once.key} is taken, but its run is not visible here."
                )
        return run

    def take_over(self, waited: Sequence[tuple[TaskRun, float]]) -> set[UUID]:
        """
        Insert runs that have waited elsewhere, with the ids and the ``enqueued_at`` that they have,
        each with how many seconds it may wait from now on, or from when it is due. One whose id is
        here is not inserted again. Return the ids of the runs that are here now: all but those
        whose id another task's run has.
        """
        now = self.read_clock()
        for run, expires in waited:
            _keep_place(run, now, expires)
        runs = [run for run, _ in waited]
        with writing(self.alias):
            for batch in per_statement(runs, lambda run: bytes_of(run.texts or ())):
                self.runs.bulk_create(batch, ignore_conflicts=True)
            rows = self.runs.filter(id__in=[run.id for run in runs])
            paths = dict(rows.values_list("id", "task_path"))
        here = {run.id for run in runs if paths.get(run.id) == run.task_path}
        return self._notify_queues_of(runs, here)

    def _enqueued_first(
        self, run: TaskRun, once: Once, delay: timedelta | None, expires: float
    ) -> bool:
        """Insert the run, and return True, unless the key is taken."""
        is_first = False
        try:
            with writing(self.alias):
                row = IdempotencyKey(key=once.key, run=run.id, request=once.request)
                row.save(force_insert=True, using=self.alias)
                is_first = True
                self.enqueue([run], delay, expires)
        except IntegrityError:
            if is_first:
                raise
        return is_first

    def _started_by(self, once: Once) -> TaskRun | None:
        """Return the run that this key started; if it is gone, free the key and return None."""
        row = self.keys.filter(key=once.key).first()
        if row is None:
            return None
        run = self.runs.filter(id=row.run).first()
        if run is None:
            # By its run as well: another session may have freed the key and taken it again.
            self.keys.filter(key=row.key, run=row.run).delete()
        elif row.request != once.request:
            raise KeyUsedOtherwise(
                f"This key was used for a different request, which started the run {run.id}."
            )
        return run

    def _insert_now(self, run: TaskRun) -> None:
        """Insert a run that is ready now, and set its times."""
        run.enqueued_at = run.available_at = self.read_clock()
        self._insert(self.rows.shared([run]), self.rows.own([run]))


def _schedule(run: TaskRun, now: datetime, delay: timedelta | None, expires: float) -> None:
    """Set the times and the state of a new run."""
    if delay is not None:
        run.run_after = later(now, delay)
    due = run.run_after if run.run_after and run.run_after > now else None
    run.enqueued_at = now
    run.available_at = due or now
    if expires != math.inf:
        run.expires_at = _later(run.available_at, expires)
    run.state = (RunState.SCHEDULED if due else RunState.READY).value


def _keep_place(run: TaskRun, now: datetime, expires: float) -> None:
    """Set the times and the state of a run that was enqueued elsewhere, by other clocks."""
    run.enqueued_at = min(run.enqueued_at, now)
    waits = run.run_after is not None and run.run_after > now
    run.available_at = max(run.run_after or run.enqueued_at, run.enqueued_at)
    if expires != math.inf:
        run.expires_at = _later(max(run.available_at, now), expires)
    run.state = (RunState.SCHEDULED if waits else RunState.READY).value


def _later(moment: datetime, seconds: float) -> datetime | None:
    """Return the moment ``seconds`` later; None beyond the last date."""
    try:
        return later(moment, timedelta(seconds=seconds))
    except OverflowError:
        return None
