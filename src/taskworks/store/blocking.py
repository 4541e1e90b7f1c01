"""
Runs that wait for others, or for workflows. What a run waits for are its edges: an edge that holds
is deleted, and a blocked run that has no edge is made ready.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from taskworks import instruments
from taskworks import real_time as time
from taskworks.chunks import in_chunks
from taskworks.database.clock import DatabaseClock
from taskworks.database.composed import fetch
from taskworks.database.transactions import writing
from taskworks.models import Edge, Pause, RunState, TaskRun, Workflow
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.store.enqueueing import Enqueueing
from taskworks.store.finishing import STARTED
from taskworks.store.new_runs import NewRuns
from taskworks.store.seen_runs import seen
from taskworks.store.statements import MAX_ROWS_PER_STATEMENT, chunks

TIMES = ("enqueued_at", "available_at", "expires_at")
EDGES_AT_ONCE = 1000


class Following(NamedTuple):
    """An edge, and how far the two are that it connects."""

    id: int
    run: UUID
    after: UUID
    any_end: bool
    only_failed: bool
    state: str | None  # of the run that waits; None if it is gone
    state_before: str | None  # of what it waits for, as that of a run; None if it is gone
    is_paused: bool  # whether it waits for a pause, which is in force

    @property
    def is_over(self) -> bool:
        """True if the edge can be deleted: it holds, or the run is not blocked anymore."""
        if self.is_paused:  # a worker may be about to block the run
            return self.state is None or self.state in FINISHED
        return self.state != RunState.BLOCKED or self._holds

    @property
    def is_hopeless(self) -> bool:
        """True if it would wait forever: the other run was deleted before it succeeded."""
        return not (self.is_over or self.is_paused) and self.state_before is None

    @property
    def is_needless(self) -> bool:
        """True if the run is for a failure that has not come about."""
        has_not_failed = self.only_failed and self.state_before == RunState.SUCCESSFUL
        return has_not_failed and self.state == RunState.BLOCKED

    @property
    def _holds(self) -> bool:
        if self.any_end and self.state_before is None:
            return True
        return holds(self, self.state_before)


class Blocked(NamedTuple):
    """A blocked run, in the order in which a sweep goes through them."""

    available_at: datetime
    id: UUID
    has_edge: bool


class Blocking(Enqueueing):
    """
    How runs wait for others, or for the end of a pause, and how they are unblocked or cancelled.

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
        states = self.states_of({edge.after for edge in edges})
        # What is not there may still come, when another transaction commits.
        return [edge for edge in edges if not holds(edge, states.get(edge.after))]

    def states_of(self, ids: set[UUID]) -> dict[UUID, str]:
        """Return the states of these runs and workflows, of which some may be gone."""
        states = dict(self._states(self.runs, [*ids]))
        if others := ids - states.keys():
            workflows = self.workflows.annotate(state=STATE_OF_WORKFLOW)
            states |= dict(self._states(workflows, [*others]))
        return states

    @staticmethod
    def _states(rows: "models.QuerySet[Any]", ids: Sequence[UUID]) -> Iterable[tuple[UUID, str]]:
        for some in chunks(ids):
            yield from rows.filter(id__in=some).values_list("id", "state")

    def _insert_blocked(self, new: NewRuns) -> None:
        if new:
            new.block(self.read_clock())
            with seen(new) if instruments.in_use else nullcontext():
                self._insert_all(new)

    def park(self, runs: Sequence[TaskRun]) -> set[UUID]:
        """
        Have claimed runs, which have not begun, wait for the pause that each of them ``waits_for``,
        with their old counts and times. Return the ids of those that were still ours.
        """
        # The edges first, and without a common transaction: a run that has none is unblocked, and
        # one that somebody has locked must not hold up the worker.
        edges = [Edge(run=run.id, after=run.waits_for, any_end=True) for run in runs]
        with writing(self.alias):
            self.edges.bulk_create(edges, ignore_conflicts=True)
        return self._write(runs, STARTED, ends_claim=True, cancel_wins=True)

    # Read edges and blocked runs.

    def followers(
        self, after: Collection[UUID], last: int = 0, limit: int = EDGES_AT_ONCE
    ) -> list[Following]:
        """Return the next edges to these runs, workflows or pauses, after the last by its id."""
        # Asked after nearly all ends of members, most of which nothing follows.
        rows = fetch(self.connection, _followers, [*after], last, fixed=[limit])
        return [*map(Following._make, rows)]

    def edges_since(self, last: int, limit: int) -> list[Following]:
        """Return the next edges, by their ids, after the last."""
        rows = fetch(self.connection, _edges_since, last, fixed=[limit])
        return [*map(Following._make, rows)]

    def blocked_since(self, last: Blocked | None, limit: int) -> list[Blocked]:
        """Return the next blocked runs, after the last."""
        if last is None:  # nearly always
            rows = fetch(self.connection, _blocked, fixed=[limit])
        else:
            at, past = Q(available_at__gte=last.available_at), Q(available_at__gt=last.available_at)
            rows = [*_columns_of_blocked(self.runs.filter(at, past | Q(id__gt=last.id)), limit)]
        return [Blocked(moment, run, edge is not None) for moment, run, edge in rows]

    @staticmethod
    def _following(edges: "models.QuerySet[Edge]") -> list[Following]:
        return [*map(Following._make, _columns_of_following(edges))]

    # Unblock, or cancel.

    def unblock_after(self, ended: Sequence[UUID], until: float = math.inf) -> int:
        """
        Pass on the edges to these runs or workflows, some at a time; return how many runs became
        ready. ``until``, by time.monotonic(), is when to leave the rest to the sweep.
        """
        unblocked = 0
        for some in chunks(ended):
            last = 0
            while edges := self.followers(some, last):
                unblocked += self.pass_on(edges)
                last = edges[-1].id
                if time.monotonic() >= until:
                    return unblocked
                if len(edges) < EDGES_AT_ONCE:
                    break
        return unblocked

    def pass_on(self, edges: Sequence[Following]) -> int:
        """
        Delete the edges that are over, and make the runs ready that have none then; delete the runs
        that are not needed. Return how many became ready.
        """
        unblocked = 0
        for some in in_chunks(edges, EDGES_AT_ONCE):
            self._delete_needless({edge.run for edge in some if edge.is_needless})
            if over := [edge for edge in some if edge.is_over]:
                self.delete_edges(over)
                unblocked += self.unblock({edge.run for edge in over})
        return unblocked

    def _delete_needless(self, ids: set[UUID]) -> None:
        """Delete these runs, which nobody has begun, and what is known of them."""
        if not ids:
            return
        with writing(self.alias):
            self.lock_to_write()
            self._delete([*ids], self._in(self.runs.all(), RunState.BLOCKED))
            gone = ids - {*self.runs.filter(id__in=ids).values_list("id", flat=True)}
            self.edges.filter(run__in=gone).delete()
            self.steps.filter(id__in=gone).delete()

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

        Those that were parked come back to their old places. The others count from now on.
        """
        rows = [*self._free(runs).values_list("id", *TIMES, "claimed_at")]
        parked = [run_id for run_id, *_, claimed_at in rows if claimed_at]
        free = _by_delay_and_expiry(row[:-1] for row in rows if not row[-1])
        unblocked = sum(self._unblock_free(ids, *times) for times, ids in free.items())
        return self._notify_if_any(unblocked + self._put_back(parked))

    def _put_back(self, parked: Sequence[UUID]) -> int:
        """Make these runs ready again, or scheduled if their time was changed to a later one."""
        if not parked:
            return 0
        is_due = models.Q(available_at__lte=DatabaseClock())
        ready, scheduled = (models.Value(one.value) for one in (RunState.READY, RunState.SCHEDULED))
        with self.locking():
            return self._free(self._lock_free_rows(parked)).update(
                state=models.Case(models.When(is_due, then=ready), default=scheduled)
            )

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
        return blocked.filter(~Exists(_edges_of_run()))

    def cancel_blocked(self, run_id: UUID, entry: Mapping[str, Any]) -> TaskRun | None:
        """Cancel a run that would wait forever; return it, or None if it is not blocked."""
        run = self._in(self.runs.filter(id=run_id), RunState.BLOCKED).first()
        return run if run and self._cancelled(run, entry) else None


def _followers(after: Sequence[UUID], last: int, limit: int) -> "models.QuerySet[Any, Any]":
    edges = Edge.objects.filter(after__in=after, id__gt=last)
    return _columns_of_following(edges.order_by("id")[:limit])


def _edges_since(last: int, limit: int) -> "models.QuerySet[Any, Any]":
    return _columns_of_following(Edge.objects.filter(id__gt=last).order_by("id")[:limit])


def _columns_of_following(edges: "models.QuerySet[Edge]") -> "models.QuerySet[Any, Any]":
    """Return the query of what makes a ``Following``."""
    rows = edges.annotate(
        state=Subquery(TaskRun.objects.filter(id=OuterRef("run")).values("state")),
        state_before=state_before(),
        is_paused=Exists(Pause.objects.in_force().filter(id=OuterRef("after"))),
    )
    return rows.values_list(*Following._fields)


def _blocked(limit: int) -> "models.QuerySet[Any, Any]":
    return _columns_of_blocked(TaskRun.objects.all(), limit)


def _columns_of_blocked(runs: TaskRunQuerySet, limit: int) -> "models.QuerySet[Any, Any]":
    """Return the query of what makes a ``Blocked``."""
    # Not Exists, for which PostgreSQL might read all edges.
    edge = Subquery(_edges_of_run().values("id")[:1])
    rows = runs.blocked().order_by("available_at", "id")
    return rows.values_list("available_at", "id", edge)[:limit]


def _edges_of_run() -> "models.QuerySet[Edge]":
    return Edge.objects.filter(run=OuterRef("id"))


def state_before() -> Coalesce:
    """Return the expression of the state of what an edge leads to; NULL if it is gone."""
    before = OuterRef("after")
    return Coalesce(
        Subquery(TaskRun.objects.filter(id=before).values("state")),
        Subquery(Workflow.objects.filter(id=before).values(state=STATE_OF_WORKFLOW)),
    )


STATE_OF_WORKFLOW = Coalesce("outcome", Value(RunState.RUNNING.value))


def holds(edge: Edge | Following, state: str | None) -> bool:
    """Return whether an edge holds that leads to something in this state, if it is there."""
    if edge.any_end:
        return state in FINISHED
    if edge.only_failed:
        return state in (RunState.FAILED, RunState.CANCELLED)
    return state == RunState.SUCCESSFUL


def _by_delay_and_expiry(
    rows: Iterable[tuple[UUID, datetime, datetime, datetime | None]],
) -> dict[tuple[timedelta, timedelta | None], list[UUID]]:
    """Return the ids of runs that were blocked by the times that they are to be given."""
    ids: dict[tuple[timedelta, timedelta | None], list[UUID]] = defaultdict(list)
    for run_id, enqueued_at, available_at, expires_at in rows:
        expires = None if expires_at is None else expires_at - enqueued_at
        ids[available_at - enqueued_at, expires].append(run_id)
    return ids
