"""Delete finished runs that are too old."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from taskworks.database.clock import DatabaseClock
from taskworks.models import Edge, RunState, TaskRun, UniqueKey
from taskworks.models.run import TaskRunQuerySet
from taskworks.options.retention import Rule
from taskworks.store.stepping import Stepping


class Aged(NamedTuple):
    """What pruning must know about a finished run."""

    finished_at: datetime
    id: UUID
    backend: str
    queue_name: str


class Pruning(Stepping):
    """Delete runs, with their unique keys, steps and events."""

    def prunable(self, rule: Rule) -> TaskRunQuerySet:
        """Select the finished runs that are too old by this rule."""
        old = self._aged(rule).filter(backend=rule.backend)
        if rule.queue is None:
            return old.exclude(queue_name__in=rule.others) if rule.others else old
        return old.filter(queue_name=rule.queue)

    def aged(self, rule: Rule, after: Aged | None, limit: int) -> list[Aged]:
        """
        Return the next ``limit`` runs with the rule's outcome and age, the oldest first. They are
        of all queues, so that the cost does not depend on how many belong to other rules.
        """
        old = self._aged(rule).order_by("finished_at", "id")
        if after:
            old = old.filter(finished_at__gte=after.finished_at).filter(
                Q(finished_at__gt=after.finished_at) | Q(id__gt=after.id)
            )
        columns = old.values_list("finished_at", "id", "backend", "queue_name")
        return [Aged._make(row) for row in columns[:limit]]

    def prune(self, rule: Rule, ids: Sequence[UUID]) -> int:
        """Delete those of these runs that are still too old and not locked; return how many."""
        return self.delete_with_traces(ids, self.prunable(rule))

    def delete_with_traces(self, ids: Sequence[UUID], meant: TaskRunQuerySet) -> int:
        """
        Delete those of these runs that are meant and not locked, and what they have left in other
        tables; return how many.
        """
        deleted = self._delete(ids, meant)
        if deleted:
            gone = ~Exists(TaskRun.objects.filter(id=OuterRef("run")))
            keys = self.keys.filter(gone, run__in=ids)
            steps = self.step_records.filter(gone, run__in=ids).values_list("run")
            events = self.events.filter(gone, run__in=ids).values_list("run")
            # In one statement: most runs have left nothing.
            if keys.values_list("run").union(steps, events, all=True).exists():
                self._delete_free_keys(keys)
                self._forget_steps_of_pruned(ids)
        return deleted

    def _forget_steps_of_pruned(self, ids: Sequence[UUID]) -> None:
        self.forget_steps(
            {*ids}.difference(self.runs.filter(id__in=ids).values_list("id", flat=True))
        )

    def forget_keys(self, after: UUID | None, limit: int) -> UUID | None:
        """
        Delete those of the next ``limit`` unique keys whose runs are gone. Return the last key
        that was read, None if there are no more.
        """
        keys = self.keys.filter(key__gt=after) if after else self.keys
        run_of = dict(keys.order_by("key").values_list("key", "run")[:limit])
        kept = {*self.runs.filter(id__in=[*run_of.values()]).values_list("id", flat=True)}
        gone = {key: run for key, run in run_of.items() if run not in kept}
        if gone:  # by their runs too: a key may have started another run by now
            self._delete_free_keys(self.keys.filter(key__in=[*gone], run__in=[*gone.values()]))
        return [*run_of][-1] if len(run_of) == limit else None

    def _delete_free_keys(self, keys: QuerySet[UniqueKey]) -> None:
        """Delete those of these keys that no other session has locked, to give them to its runs."""
        with self.locking():
            free = keys.order_by("key").select_for_update(skip_locked=True)
            self._delete_by_key(UniqueKey, [*free.values_list("key", flat=True)])

    def _aged(self, rule: Rule) -> TaskRunQuerySet:
        since = DatabaseClock(-rule.age)
        # Members of a workflow go with it.
        old = self.runs.filter(state=RunState(rule.outcome), finished_at__lte=since, workflow=None)
        if rule.outcome != RunState.SUCCESSFUL:
            return old
        # A run that waits for it learns from its row that it need not wait any more.
        return old.filter(~Exists(Edge.objects.filter(after=OuterRef("id"))))
