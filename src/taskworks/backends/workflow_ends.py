"""
End and stop workflows, as far as their members allow, and tell those who listen.

``until`` is when to leave the rest of the members to the sweep, by time.monotonic(): a worker has
other duties.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

from taskworks import real_time as time
from taskworks.exceptions import TaskCancelled
from taskworks.framework import InvalidTaskBackend, task_backends
from taskworks.models import RunState, Workflow
from taskworks.signals import (
    announce_cancelled,
    announce_workflow,
    is_cancellation_heard,
    workflow_finished,
)
from taskworks.store import Store
from taskworks.store.workflow_ends import Ends
from taskworks.tracebacks import entry_of

CANCELLATION = entry_of(TaskCancelled, "The run was cancelled with its workflow.")

T = TypeVar("T")

MEMBERS = 1000  # that are read at once, and cancelled in one transaction
QUICK = 0.05  # seconds in which receivers return that hold up nobody


def end_workflows(store: Store, ids: Iterable[UUID], until: float = math.inf) -> int:
    """
    Write that those of these workflows have ended that have, and stop those that do not outlive
    their failure. Return how many have ended, and how many runs became ready.
    """
    ids = [*ids]
    portions = Portions(len(ids), until, is_heard=bool(workflow_finished.receivers))
    return sum(_end_some(store, some, until, portions) for some in portions.of(ids))


def _end_some(store: Store, ids: Iterable[UUID], until: float, portions: "Portions") -> int:
    ends = Ends()
    try:
        store.end_workflows(ids, until, into=ends)
    finally:  # what is written is told, whatever failed after it
        with portions.telling():
            for row in ends.finished:
                announce_end(row)
    changed = ends.unblocked + len(ends.finished)
    for row in ends.finished:
        if row.parent and row.outcome != RunState.SUCCESSFUL:
            changed += stop_after_failure(store, row.parent, until)
    return changed


def stop_after_failure(store: Store, workflow: UUID, until: float = math.inf) -> int:
    """Stop what is to stop since a member of this workflow has failed; return as above."""
    to_stop = store.to_stop_after_failure(workflow)
    return stop_workflow(store, to_stop, patient=False, until=until) or 0 if to_stop else 0


def stop_workflow(
    store: Store, workflow: UUID, *, patient: bool = True, until: float = math.inf
) -> int | None:
    """
    Cancel the members of a workflow, and of those within it, that wait; ask the others to stop.
    Return as above, or None if it had finished; see ``begin_to_stop``.
    """
    if not store.begin_to_stop(workflow, patient=patient):
        return None
    within = store.to_stop_within(workflow)
    for child in within:
        store.begin_to_stop(child, patient=patient)
        if time.monotonic() >= until:
            break
    unblocked = 0
    for one in (workflow, *within):
        unblocked += _cancel_members(store, one, until)
        if time.monotonic() >= until:
            return unblocked
    return unblocked + end_workflows(store, [*reversed(within), workflow], until)


def _cancel_members(store: Store, workflow: UUID, until: float) -> int:
    unblocked, portions = 0, Portions(MEMBERS, until, is_heard=is_cancellation_heard())
    for members in store.waiting_members(workflow, MEMBERS):
        for some in portions.of(members):
            cancelled = store.cancel_waiting(some, CANCELLATION)
            with portions.telling():
                _announce_cancelled(store, cancelled)
            unblocked += store.unblock_after([*cancelled], until)
        if time.monotonic() >= until:
            return unblocked
    store.ask_members_to_stop(workflow, until)
    return unblocked


def _announce_cancelled(store: Store, ids: Collection[UUID]) -> None:
    if ids and is_cancellation_heard():
        for run in store.runs.filter(id__in=ids):
            if sender := _sender(run.backend):
                announce_cancelled(sender, run.to_result())


class Portions:
    """
    How many to write before their receivers are called, and before the next look at the time: up to
    ``most``. If there is a time, and somebody is told, who may be slow, it is one at first, and
    then as many as receivers return from in QUICK seconds.
    """

    def __init__(self, most: int, until: float, *, is_heard: bool) -> None:
        self._most, self._until, self._telling = most, until, 0.0
        self._size = 1 if is_heard and until < math.inf else most

    def of(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield these, a portion at a time, until then; at least one portion."""
        start = 0
        while start < len(items):
            some, self._telling = items[start : start + self._size], 0.0
            yield some
            if time.monotonic() >= self._until:
                return
            start += len(some)
            self._size = self._next_size()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Measure how long receivers take."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._telling += time.monotonic() - began

    def _next_size(self) -> int:
        if self._telling <= QUICK or self._until == math.inf:
            return min(2 * self._size, self._most)
        return max(1, int(self._size * QUICK / self._telling))


def announce_end(row: Workflow) -> None:
    """Send ``workflow_finished``, if this process has the backend."""
    from taskworks.workflows.workflow_result import result_of_row

    if sender := _sender(row.backend):
        announce_workflow(sender, lambda: result_of_row(row))


def _sender(alias: str) -> type | None:
    """Return the class of a backend; None if this process does not have it."""
    try:
        return type(task_backends[alias])
    except InvalidTaskBackend:
        return None
