"""
Runs that wait for others. What a run waits for are its edges: an edge that holds is deleted, and a
blocked run that has no edge is made ready.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Subquery

from taskworks.database.clock import DatabaseClock
from taskworks.database.transactions import writing
from taskworks.models import Edge, RunState, TaskRun
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.store.enqueueing import Enqueueing
from taskworks.store.new_runs import NewRuns
from taskworks.store.statements import MAX_ROWS_PER_STATEMENT

TIMES = ("enqueued_at", "available_at", "expires_at")


class Following(NamedTuple):
    """An edge, and how far the two runs are."""

    id: int
    run: UUID
    after: UUID
    any_end: bool
    state: str | None  # of the run that waits; None if it is gone
    state_before: str | None  # of the run that it waits for; None if it is gone

    @property
    def is_over(self) -> bool:
        """True if the edge can be deleted: it holds, or the run is not blocked anymore."""
        return self.state != RunState.BLOCKED or self._holds

    @property
    def is_hopeless(self) -> bool:
        """True if it would wait forever: the other run was deleted before it succeeded."""
        return not self.is_over and self.state_before is None

    @property
    def _holds(self) -> bool:
        """True if the other run has succeeded, or has ended where any end will do."""
        if self.any_end:
            return self.state_before is None or self.state_before in FINISHED
        return self.state_before == RunState.SUCCESSFUL


class Blocked(NamedTuple):
    """A blocked run, in the order in which a sweep goes through them."""

    available_at: datetime
    id: UUID
    has_edge: bool


class Blocking(Enqueueing):
    """
    How runs wait for others, and how they are unblocked or cancelled.

    Deleting edges and looking for runs without any are two transactions. In one transaction, two
    workers that delete the last two edges of a run would not see each other's deletion, and neither
    would unblock it.
    """

    def block(self, new: NewRuns, edges: Iterable[Edge]) -> None:
        """
        Insert new runs that become ready when each of their edges holds, in the caller's
        transaction if there is one, and set the times and the state of those that are blocked.

        A delay and an expiry count from the moment a run is unblocked. A run whose edges all hold
        already is enqueued.
        """
        with writing(self.alias):
            self.lock_to_write()
            edges = self._still_open([*edges])
            blocked = {edge.run.int for edge in edges}
            waiting, free = new.only(blocked), new.only({*new.ids} - blocked)
            self._insert_blocked(waiting)
            self.edges.bulk_create(edges, batch_size=MAX_ROWS_PER_STATEMENT)
            self.enqueue(free)
            new.enqueued_at = waiting.enqueued_at or free.enqueued_at

    def _still_open(self, edges: list[Edge]) -> list[Edge]:
        """
        Leave out the edges that hold. Without a stored edge, a successful run may be pruned before
        the caller commits; after that the edge would wait for a run that is gone.
        """
        states = dict(self._states({edge.after for edge in edges}))
        return [edge for edge in edges if not _holds_already(edge, states.get(edge.after))]

    def _states(self, ids: set[UUID]) -> Iterable[tuple[UUID, str]]:
        remaining = [*ids]
        for start in range(0, len(remaining), MAX_ROWS_PER_STATEMENT):
            some = self.runs.filter(id__in=remaining[start : start + MAX_ROWS_PER_STATEMENT])
            yield from some.values_list("id", "state")

    def _insert_blocked(self, new: NewRuns) -> None:
        if new:
            new.block(self.read_clock())
            self._insert_all(new)

    # Read edges and blocked runs.

    def followers(self, after: Iterable[UUID]) -> list[Following]:
        """Return the edges to these runs."""
        return self._following(self.edges.filter(after__in=list(after)))

    def edges_since(self, last: int, limit: int) -> list[Following]:
        """Return the next edges in the order of their ids, after the last."""
        return self._following(self.edges.filter(id__gt=last).order_by("id")[:limit])

    def blocked_since(self, last: Blocked | None, limit: int) -> list[Blocked]:
        """Return the next blocked runs, after the last."""
        blocked = self.runs.blocked().order_by("available_at", "id")
        if last:
            blocked = blocked.filter(available_at__gte=last.available_at).filter(
                models.Q(available_at__gt=last.available_at) | models.Q(id__gt=last.id)
            )
        # Not Exists, for which PostgreSQL might read all edges.
        edge = Subquery(self._edges_of_run().values("id")[:1])
        rows = blocked.values_list("available_at", "id", edge)[:limit]
        return [Blocked(moment, run, edge is not None) for moment, run, edge in rows]

    def _following(self, edges: "models.QuerySet[Edge]") -> list[Following]:
        states = TaskRun.objects.values("state")
        rows = edges.annotate(
            state=Subquery(states.filter(id=OuterRef("run"))),
            state_before=Subquery(states.filter(id=OuterRef("after"))),
        )
        columns = ("id", "run", "after", "any_end", "state", "state_before")
        return [Following._make(row) for row in rows.values_list(*columns)]

    # Unblock, or cancel.

    def delete_edges(self, edges: Iterable[Following]) -> None:
        """Delete these edges, except those that another session is deleting."""
        # Locked without waiting, or two that delete the same could wait for each other.
        with self.locking():
            self._delete_by_key(Edge, self._lock_free_edges([edge.id for edge in edges]))

    def _lock_free_edges(self, ids: Sequence[int]) -> list[int]:
        """Lock the edges that no other session has locked; return their ids."""
        rows = self.edges.filter(id__in=ids).select_for_update(skip_locked=True)
        return [*rows.values_list("id", flat=True)]

    def unblock(self, runs: Iterable[UUID]) -> int:
        """
        Make the blocked ones of these runs that have no edge ready, or scheduled if they have a
        delay; return how many. May be repeated when its answer was lost.
        """
        free = _by_delay_and_expiry(self._free(runs).values_list("id", *TIMES))
        unblocked = sum(self._unblock_free(ids, *times) for times, ids in free.items())
        return self._notify_if_any(unblocked)

    def _unblock_free(
        self, runs: Sequence[UUID], delay: timedelta, expires: timedelta | None
    ) -> int:
        """Unblock these runs, except those that another session is unblocking or cancelling."""
        with self.locking():
            return self._free(self._lock_free_rows(runs)).update(
                state=RunState.SCHEDULED if delay else RunState.READY,
                available_at=DatabaseClock(delay),
                expires_at=None if expires is None else DatabaseClock(expires),
            )

    def _free(self, runs: Iterable[UUID]) -> TaskRunQuerySet:
        """Return the blocked ones of these runs that have no edge."""
        blocked = self._in(self.runs.filter(id__in=list(runs)), RunState.BLOCKED)
        return blocked.filter(~Exists(self._edges_of_run()))

    def cancel_blocked(self, run_id: UUID, entry: Mapping[str, Any]) -> TaskRun | None:
        """Cancel a run that would wait forever; return it, or None if it is not blocked."""
        run = self._in(self.runs.filter(id=run_id), RunState.BLOCKED).first()
        return run if run and self._cancelled(run, entry) else None

    @staticmethod
    def _edges_of_run() -> "models.QuerySet[Edge]":
        return Edge.objects.filter(run=OuterRef("id"))


def _holds_already(edge: Edge, state: str | None) -> bool:
    # A run that is not there may still come, when another transaction commits.
    return state in FINISHED if edge.any_end else state == RunState.SUCCESSFUL


def _by_delay_and_expiry(
    rows: Iterable[tuple[UUID, datetime, datetime, datetime | None]],
) -> dict[tuple[timedelta, timedelta | None], list[UUID]]:
    """Return the ids of runs that were blocked by the times that they are to be given."""
    ids: dict[tuple[timedelta, timedelta | None], list[UUID]] = defaultdict(list)
    for run_id, enqueued_at, available_at, expires_at in rows:
        expires = None if expires_at is None else expires_at - enqueued_at
        ids[available_at - enqueued_at, expires].append(run_id)
    return ids
