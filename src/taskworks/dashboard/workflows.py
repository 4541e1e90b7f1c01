"""Workflows: what has become of their members; cancel or retry one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Count
from django.http import Http404
from django.utils.translation import gettext as _

from taskworks.actions import workflow_actions
from taskworks.actions.run_actions import Verdict
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import ActionView, Page, Refused
from taskworks.dashboard.reading import read
from taskworks.dashboard.snapshot import forget_snapshot
from taskworks.models import RunState, Step, Workflow
from taskworks.store import store

MOST_WORKFLOWS = 50  # on the page
MOST_STEPS = 500  # on the page of one
IN_ORDER = [*RunState]

Counts = dict[str, int]


class Row(NamedTuple):
    """A workflow, and how many of its own members are in each state."""

    workflow: Workflow
    counts: list[tuple[str, int]]


class Workflows(Page):
    entry = "workflows"
    template = "workflows.html"
    live_template = "workflows_live.html"

    def title(self) -> str:
        return _("Workflows")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        found = read(self._workflows)
        shown = (found.value or [])[:MOST_WORKFLOWS]
        counted = read(lambda: _counts([one.id for one in shown]))
        counts = counted.value or {}
        return {
            "now": read(store().read_clock),
            "rows": [Row(one, _in_order(counts.get(one.id, {}))) for one in shown],
            "older": self._older(shown) if len(found.value or ()) > MOST_WORKFLOWS else "",
            "is_unfinished": self._is_unfinished,
            "problems": [*filter(None, [found.problem, counted.problem])],
        }

    @property
    def _is_unfinished(self) -> bool:
        return self.request.GET.get("state") == "unfinished"

    def _workflows(self) -> list[Workflow]:
        rows = store().workflows.filter(parent=None)
        if self._is_unfinished:
            rows = rows.filter(finished_at=None)
        if before := _uuid(self.request.GET.get("before", "")):
            rows = rows.filter(id__lt=before)
        return [*rows.order_by("-id")[: MOST_WORKFLOWS + 1]]

    def _older(self, shown: Sequence[Workflow]) -> str:
        state = "unfinished" if self._is_unfinished else ""
        return self.address("workflows", state=state, before=shown[-1].id)


class StepShown(NamedTuple):
    """A step, and what has become of it."""

    step: Step
    state: str  # of its run, or the outcome of its workflow; "" if it has none yet
    path: str
    is_run: bool


class WorkflowPage(Page):
    entry = "workflows"
    template = "workflow.html"
    live_template = "workflow_live.html"

    def title(self) -> str:
        return _("Workflow %(name)s") % {"name": self.workflow.name}

    def context(self, **ids: Any) -> Mapping[str, Any]:
        self.workflow = _workflow(ids["workflow"])
        counted = read(lambda: _counts([self.workflow.id]))
        steps = read(self._steps)
        return {
            "workflow": self.workflow,
            "now": read(store().read_clock),
            "counts": _in_order((counted.value or {}).get(self.workflow.id, {})),
            "steps": steps.value or [],
            "may_cancel": not self.workflow.finished_at
            and self.access.may(Action.CANCEL, self.workflow),
            "may_retry": self.workflow.outcome in (RunState.FAILED, RunState.CANCELLED)
            and self.access.may(Action.RETRY, self.workflow),
            "problems": [*filter(None, [counted.problem, steps.problem])],
        }

    def _steps(self) -> list[StepShown]:
        steps = [*store().steps.filter(workflow=self.workflow.id).order_by("position")[:MOST_STEPS]]
        ids = [step.id for step in steps]
        runs = store().runs.filter(id__in=ids).only("id", "state", "task_path", "callable_path")
        by_id = {run.id: run for run in runs}
        others = {one.id: one for one in store().workflows.filter(id__in={*ids} - {*by_id})}
        return [
            StepShown(step, run.state, run.called_path, is_run=True)
            if (run := by_id.get(step.id))
            else StepShown(step, _outcome(others.get(step.id)), "", is_run=False)
            for step in steps
        ]


class WorkflowAction(ActionView):
    leads_to = "workflows"

    def act(self, **ids: Any) -> str:
        workflow = _workflow(ids["workflow"])
        self.access.demand(self.action, workflow)
        done = self.act_on(workflow)
        forget_snapshot()
        return done

    def act_on(self, workflow: Workflow) -> str:
        raise NotImplementedError


class CancelWorkflow(WorkflowAction):
    action = Action.CANCEL

    def act_on(self, workflow: Workflow) -> str:
        answer = workflow_actions.cancel(workflow)
        if answer.verdict == Verdict.NOT_APPLICABLE:
            raise Refused(answer.reason)
        self.record(workflow, answer.verdict)
        return _("The workflow is being cancelled.")


class RetryWorkflow(WorkflowAction):
    action = Action.RETRY

    def act_on(self, workflow: Workflow) -> str:
        retried = workflow_actions.retry(workflow)
        if retried.verdict == Verdict.NOT_APPLICABLE:
            raise Refused(retried.reason)
        self.record(workflow, f"retried: {retried.runs} runs")
        return _("Members that are retried: %(number)s.") % {"number": retried.runs}


def _workflow(workflow: UUID) -> Workflow:
    found = store().workflows.filter(id=workflow).first()
    if found is None:
        raise Http404(_("There is no such workflow. It may have been deleted."))
    return found


def _counts(workflows: Sequence[UUID]) -> dict[UUID, Counts]:
    """Return how many runs of each workflow are in each state, without those of its groups."""
    runs = store().runs.filter(workflow__in=workflows)
    counts: dict[UUID, Counts] = defaultdict(dict)
    rows = runs.values_list("workflow", "state").annotate(Count("id")).order_by()
    for workflow, state, number in rows if workflows else ():
        counts[workflow][state] = number
    return dict(counts)


def _in_order(counts: Counts) -> list[tuple[str, int]]:
    return [(state, counts[state]) for state in IN_ORDER if counts.get(state)]


def _outcome(workflow: Workflow | None) -> str:
    if workflow is None:
        return ""
    return workflow.outcome or RunState.RUNNING


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
