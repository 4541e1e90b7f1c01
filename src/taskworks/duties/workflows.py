"""
Workflows: write that they have ended, once no member can go on, and stop those that do not outlive
a failure.

A worker does so as soon as it has written the outcome of a member. If it cannot, or dies first, the
sweep that comes with every few heartbeats does it.
"""

import math
from collections.abc import Iterable
from uuid import UUID

from taskworks import real_time as time
from taskworks.backends.workflow_ends import end_workflows, stop_after_failure, stop_workflow
from taskworks.chunks import in_chunks
from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED
from taskworks.recording.events import Attempts, Subscriber
from taskworks.reserved_metadata import member_of
from taskworks.signals import workflow_finished
from taskworks.store import Store
from taskworks.store.workflow_ends import Unfinished

CHUNK = 1000  # workflows
ENDED_AT_ONCE = 100  # of these, between two looks at the time
MAX_LOOK = 1.0  # seconds between writes of outcomes; the sweep does what is left
LOOK_INTERVAL = 1.0  # seconds between two looks at a workflow that should go on


class EndedMembers(Subscriber):
    """
    Looks after the workflows of the runs whose outcomes this worker has written: once it has no
    other member of them in hand, because until then they go on.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._workflows: dict[UUID, bool] = {}  # whether a member has failed
        self._next_look = 0.0  # at all of them, by time.monotonic()

    def recorded(self, attempts: Attempts) -> None:
        for attempt in attempts:
            run = attempt.run
            if run.metadata and run.state in FINISHED and (workflow := member_of(run.metadata)):
                failed = run.state != RunState.SUCCESSFUL
                self._workflows[workflow] = self._workflows.get(workflow, False) or failed

    def look_after(self, in_hand: Iterable[TaskRun] = ()) -> bool:
        """
        End and stop what is to be; return whether something has changed. Free if there is none.
        ``in_hand`` are the runs that this worker has.
        """
        workflows = self._due(in_hand)
        if not workflows:
            return False
        changed, within, until = 0, list[UUID](), time.monotonic() + MAX_LOOK
        for workflow, has_failed in workflows.items():
            if has_failed:
                changed += stop_after_failure(self._store, workflow, until)
                within += self._store.hopeless_within(workflow)
            if time.monotonic() >= until:
                break
        changed += end_workflows(self._store, [*within, *workflows], until)
        for workflow in workflows:  # unless it raised: then the next call tries again
            del self._workflows[workflow]
        return changed > 0

    def _due(self, in_hand: Iterable[TaskRun]) -> dict[UUID, bool]:
        """Return those to look at now, and whether a member has failed."""
        if not self._workflows:
            return {}
        now = time.monotonic()
        if now >= self._next_look:  # what this worker has in hand may be another one's by now
            self._next_look = now + LOOK_INTERVAL
            return {**self._workflows}
        going_on = self._with_members_among(in_hand)
        return {
            workflow: has_failed
            for workflow, has_failed in self._workflows.items()
            if has_failed or workflow not in going_on
        }

    def _with_members_among(self, runs: Iterable[TaskRun]) -> set[UUID]:
        found: set[UUID] = set()
        for run in runs:
            if (workflow := member_of(run.metadata)) in self._workflows:
                found.add(workflow)
                if len(found) == len(self._workflows):
                    break
        return found


class WorkflowSweep:
    """
    Goes through the workflows that have not ended, a chunk at a time, again and again. So the cost
    of a step does not grow with how many there are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: UUID | None = None
        self.has_changed = False  # whether the latest step has ended a workflow, or freed a run

    def step(self, within: float = math.inf) -> bool:
        """
        Look at the next chunk, for about ``within`` seconds at most; return whether there may be
        more before the end.
        """
        until, self.has_changed = time.monotonic() + within, False
        rows = self._store.unfinished_workflows(self._last, CHUNK)
        # All that are to stop come first: or what is within one would end with members that wait.
        looked_at = self._end(self._stop(rows, until), until)
        is_cut = len(looked_at) < len(rows) or len(rows) == CHUNK
        self._last = looked_at[-1].id if is_cut else None
        return is_cut

    def _stop(self, rows: list[Unfinished], until: float) -> list[Unfinished]:
        """Stop those that are to be; return the rows that were looked at until then."""
        for number, row in enumerate(rows, 1):
            if row.is_stopping:
                stopped = stop_workflow(self._store, row.id, patient=False, until=until)
                self.has_changed |= bool(stopped)
            elif row.is_to_stop:
                self.has_changed |= stop_after_failure(self._store, row.id, until) > 0
            if time.monotonic() >= until:
                return rows[:number]
        return rows

    def _end(self, rows: list[Unfinished], until: float) -> list[Unfinished]:
        """Write the ends of those that have ended; return as above."""
        # A receiver may take long, and a heartbeat waits for it.
        at_once = 1 if workflow_finished.receivers else ENDED_AT_ONCE
        looked_at: list[Unfinished] = []
        for some in in_chunks(rows, at_once):
            over = [row.id for row in some if row.may_be_over]
            self.has_changed |= end_workflows(self._store, over, until) > 0
            looked_at += some
            if time.monotonic() >= until:
                break
        return looked_at


def look_after_all(store: Store) -> bool:
    """End and stop every workflow that is to be; return whether something has changed."""
    sweep, has_changed = WorkflowSweep(store), False
    while sweep.step():
        has_changed |= sweep.has_changed
    return has_changed or sweep.has_changed
