"""Delete workflows that ended long ago, with their members: a member is not deleted before."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, RunState, Workflow
from taskworks.models.run import FINISHED
from taskworks.options.retention import Rule
from taskworks.store.statements import chunks
from taskworks.store.workflow_retries import WorkflowRetries

WITHOUT_A_WORKER = (*FINISHED, RunState.BLOCKED)


class Pruned(NamedTuple):
    """How many runs a step has deleted, and after which workflow to go on."""

    runs: int
    last: Workflow | None
    is_last: bool = False  # whether there are no more


class WorkflowPruning(WorkflowRetries):
    """Delete whole families: a workflow that is in no other, and those within it."""

    def prune_workflow(self, rule: Rule, after: Workflow | None, limit: int) -> Pruned:
        """
        Delete up to ``limit`` members of the next workflow that is too old by this rule, and its
        rows once it has none left. Until then, the next call goes on with it.
        """
        old = self.old_workflows(rule).order_by("finished_at", "id")
        if after and after.finished_at:
            old = old.filter(finished_at__gte=after.finished_at).filter(
                Q(finished_at__gt=after.finished_at) | Q(id__gt=after.id)
            )
        row = old.first()
        if row is None:
            return Pruned(0, after, is_last=True)
        with self.locking():
            self.lock_to_write()
            locked = self.old_workflows(rule).filter(id=row.id)
            if not locked.select_for_update(skip_locked=True).first():
                return Pruned(0, row)
            runs, has_more = self._delete_members(row, limit)
            if has_more:  # from now on, nothing of it is retried
                self.workflows.filter(id=row.id).update(closed_at=None)
        return Pruned(runs, after if has_more else row)

    def old_workflows(self, rule: Rule) -> QuerySet[Workflow]:
        """Return the workflows that are too old by this rule, for which nothing waits."""
        since = DatabaseClock(-rule.age)
        old = self.workflows.filter(
            outcome=rule.outcome, finished_at__lte=since, parent=None, backend=rule.backend
        )
        return old.filter(~Exists(Edge.objects.filter(after=OuterRef("id"))))

    def prunable_members(self, rule: Rule) -> int:
        """Return how many runs are members of workflows that are too old by this rule."""
        ids = [*self.old_workflows(rule).values_list("id", flat=True)]
        families = [*ids, *(child.id for id_ in ids for child in self.within(id_))]
        return sum(self.count_members(families).values())

    def _delete_members(self, row: Workflow, limit: int) -> tuple[int, bool]:
        """Return how many runs were deleted, and whether it goes on."""
        family = [row.id, *(child.id for child in self.within(row.id))]
        ids = self._some_members_of(family, limit)
        if not ids:
            self._delete_rows(family)
            return 0, False
        followed = Exists(Edge.objects.filter(after=OuterRef("id")))
        meant = self.runs.filter(state__in=WITHOUT_A_WORKER)
        meant = meant.exclude(followed, state=RunState.SUCCESSFUL)
        deleted = self._delete(ids, meant)
        kept = {*self.runs.filter(id__in=ids).values_list("id", flat=True)}
        self.edges.filter(run__in={*ids} - kept).delete()
        if deleted == len(ids) < limit:
            self._delete_rows(family)
            return deleted, False
        return deleted, deleted > 0

    def _some_members_of(self, family: Sequence[UUID], limit: int) -> list[UUID]:
        found: list[UUID] = []
        for some in chunks(family):
            members = self.runs.filter(workflow__in=some).values_list("id", flat=True)
            found += members[: limit - len(found)]
            if len(found) == limit:
                break
        return found

    def _delete_rows(self, family: Sequence[UUID]) -> None:
        for some in chunks(family):
            self.steps.filter(workflow__in=some).delete()
            self.workflows.filter(id__in=some).delete()
