"""Stop a workflow: cancel the members that wait, and ask those to stop that workers have."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.db.models.functions import Coalesce

from taskworks import real_time as time
from taskworks.database.clock import DatabaseClock
from taskworks.models import RunState, Step
from taskworks.models.run import TaskRunQuerySet
from taskworks.models.workflow import Kind
from taskworks.store.cancelling import WAITING, Cancelling
from taskworks.store.statements import chunks
from taskworks.store.workflow_ends import WorkflowEnds

CHUNK = 1000  # runs


class WorkflowStops(WorkflowEnds, Cancelling):
    """
    Cancel workflows. What is to run whatever becomes of the others is spared.

    First it is written that a workflow is stopping: from then on nothing can be added to it. Then
    its members are cancelled, in transactions of their own, by anybody, as often as it takes.
    """

    def begin_to_stop(self, workflow: UUID, *, patient: bool = True) -> bool:
        """
        Write that a workflow is stopping, and closed; return False if it had finished. Unless
        ``patient``, do not wait for those that are adding to it, and return False.
        """
        with self.locking():
            self.lock_to_write()
            locked = self.workflows.filter(id=workflow, finished_at=None)
            row = locked.select_for_update(skip_locked=not patient).first()
            if row is None:
                return False
            if row.stopping_at is None or row.closed_at is None:
                self.workflows.filter(id=workflow).update(
                    stopping_at=Coalesce("stopping_at", DatabaseClock()),
                    closed_at=Coalesce("closed_at", DatabaseClock()),
                )
            return True

    def to_stop_within(self, workflow: UUID) -> list[UUID]:
        """Return the workflows within this one that are to stop with it."""
        within = self.within(workflow)
        # A group that has ended without hope has members that wait; they go by our rule.
        waiting = self._with_blocked_members([child.id for child in within])
        spared = self._always([child.id for child in within])
        for child in within:
            if child.parent in spared:
                spared.add(child.id)
        found: dict[UUID, None] = {workflow: None}
        for child in within:
            has_ended_alone = child.kind == Kind.STEPS or child.id not in waiting
            is_over = child.finished_at is not None and has_ended_alone
            if child.parent in found and child.id not in spared and not is_over:
                found[child.id] = None
        return [*found][1:]

    def _with_blocked_members(self, workflows: Sequence[UUID]) -> set[UUID]:
        return {
            workflow
            for some in chunks(workflows)
            for workflow in self.runs.filter(workflow__in=some, state=RunState.BLOCKED)
            .values_list("workflow", flat=True)
            .distinct()
            if workflow
        }

    def waiting_members(self, workflow: UUID, limit: int) -> Iterator[list[UUID]]:
        """Yield the members of a workflow itself that wait and are to be cancelled with it."""
        for state in WAITING:
            last: UUID | None = None
            while ids := self._some_members(workflow, state, last, limit):
                yield ids
                last = ids[-1]

    def ask_members_to_stop(self, workflow: UUID, until: float) -> None:
        """
        Ask the members that workers have to stop. ``until``, by time.monotonic(), is when to leave
        the others to the sweep; those that other sessions have locked are left to it, too.
        """
        asked = {"cancel_requested_at": self._first_cancel_request()}
        running = self._stoppable(workflow).in_hand().filter(cancel_requested_at=None)
        while self._update_some(running, CHUNK, **asked) == CHUNK and time.monotonic() < until:
            pass

    def _some_members(
        self, workflow: UUID, state: str, last: UUID | None, limit: int
    ) -> list[UUID]:
        rows = self._stoppable(workflow).filter(state=state).order_by("id")
        if last:
            rows = rows.filter(id__gt=last)
        return [*rows.values_list("id", flat=True)[:limit]]

    def _stoppable(self, workflow: UUID) -> TaskRunQuerySet:
        is_spared = Exists(Step.objects.filter(id=OuterRef("id"), always=True))
        return self.runs.filter(workflow=workflow).filter(~is_spared)

    def _always(self, ids: Sequence[UUID]) -> set[UUID]:
        return {
            step
            for some in chunks(ids)
            for step in self.steps.filter(id__in=some, always=True).values_list("id", flat=True)
        }
