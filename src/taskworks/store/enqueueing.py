"""Enqueue runs, each once per idempotency key if it has one; see ``unique_runs`` for others."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError

from taskworks import instruments
from taskworks.database.notifications import NOTIFY_IF_DUE_WITHIN
from taskworks.database.transactions import writing
from taskworks.models import TaskRun, UniqueKey
from taskworks.store.base import Base
from taskworks.store.new_runs import NewRuns
from taskworks.store.seen_runs import seen

Insert = Callable[[], UUID]

MAX_TRIES = 10  # to write a row by its key, while others insert and delete it


class Once(NamedTuple):
    """An idempotency key, and a digest of the request that uses it."""

    key: UUID
    request: str  # 64 characters


class KeyUsedOtherwise(Exception):  # noqa: N818 - not a programming error
    """The key has started a run for a different request."""


class Enqueueing(Base):
    """Insert runs."""

    def enqueue(self, new: NewRuns) -> None:
        """
        Insert new runs, in the caller's transaction if there is one, and set their times and their
        state: they are ready, or scheduled if their time is in the future.
        """
        if not new:
            return
        is_one = len(new) == 1 and new.is_due
        insert = self._insert_due if is_one else self._insert_at_their_times
        if instruments.in_use:
            with seen(new):
                insert(new)
        else:
            insert(new)
        if new.starts_within(NOTIFY_IF_DUE_WITHIN):
            columns = new.template.columns
            self.notify_workers(
                columns["backend"],
                columns["queue_name"],
                new,
                count=len(new),
                are_limited=new.lanes is not None,
            )

    def enqueue_once(
        self, new: NewRuns, once: Once, insert: Insert | None = None
    ) -> TaskRun | None:
        """
        Insert a new run as ``enqueue`` does, together with its key, and return None; or return the
        run that the key started before. ``insert`` may do it otherwise, and returns which run
        stands for the new one. Of two simultaneous requests, one waits for the other.
        Raise KeyUsedOtherwise if the key was used for a different request.
        """
        tries = 0
        while not self._enqueued_first(new, once, insert):
            if first := self._started_by(once):
                return first
            tries += 1
            if tries == MAX_TRIES:  # in a transaction that does not see what others commit
                raise IntegrityError(
                    f"The idempotency key {once.key} is taken, but its run is not visible here."
                )
        return None

    def _enqueued_first(self, new: NewRuns, once: Once, insert: Insert | None) -> bool:
        """Insert the run, and return True, unless the key is taken."""
        is_first = False
        try:
            with writing(self.alias):
                row = UniqueKey(key=once.key, run=new.uuids[0], request=once.request)
                row.save(force_insert=True, using=self.alias)
                is_first = True
                if insert is None:
                    self.enqueue(new)
                elif (stands := insert()) != row.run:
                    self.keys.filter(key=once.key).update(run=stands)
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

    def _insert_at_their_times(self, new: NewRuns) -> None:
        new.schedule(self.read_clock())
        self._insert_all(new)

    def _insert_due(self, new: NewRuns) -> None:
        """Insert one run that is ready now, and set its times."""
        self._insert_at_their_times(new)
