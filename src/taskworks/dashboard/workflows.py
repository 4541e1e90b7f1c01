"""Workflows: what has become of their members; cancel or retry one."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.http import Http404
from django.utils.translation import gettext as _

from taskworks.actions import workflow_actions, workflows_shown
from taskworks.actions.run_actions import Verdict
from taskworks.actions.workflows_shown import (
    GONE,
    MAX_STEPS_SHOWN,
    RUN,
    Counts,
    StepShown,
    WorkflowShown,
)
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import ActionView, Page, Refused
from taskworks.dashboard.reading import read
from taskworks.dashboard.runs.rows import seen_by
from taskworks.dashboard.snapshot import forget_snapshot
from taskworks.dashboard.workflow_graph import graph
from taskworks.models import RunState, Workflow
from taskworks.sentences import translated
from taskworks.store import store
from taskworks.store.statements import chunks

MOST_WORKFLOWS = 50  # on the page
IN_ORDER = [*RunState]


class Row(NamedTuple):
    """A workflow, and how many of its runs are in each state."""

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
        counted = read(lambda: workflows_shown.counts_of(store(), shown))
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


class StepRow(NamedTuple):
    """A step as the page lists it."""

    shown: StepShown
    address: str  # of the page of its run or workflow; "" if it was deleted

    @property
    def took(self) -> timedelta | None:
        started, finished = self.shown.started_at, self.shown.finished_at
        return finished - started if started and finished else None

    @property
    def follows(self) -> str:
        return ", ".join(self.shown.names_before)


class WorkflowPage(Page):
    entry = "workflows"
    template = "workflow.html"
    live_template = "workflow_live.html"

    def title(self) -> str:
        return _("Workflow %(name)s") % {"name": self.workflow.name}

    def context(self, **ids: Any) -> Mapping[str, Any]:
        self.workflow = _workflow(ids["workflow"])
        found = read(lambda: workflows_shown.shown(store(), self.workflow))
        shown = found.value or WorkflowShown(self.workflow, {})
        hidden = read(lambda: self._hidden(shown))
        steps = [one for one in shown.steps if one.id not in (hidden.value or ())]
        addresses = {one.id: self._address_of(one) for one in steps}
        return {
            "workflow": self.workflow,
            "counts": _in_order(shown.counts),
            "graph": graph(steps, addresses) if hidden.value is not None else "",
            "steps": [StepRow(one, addresses[one.id]) for one in steps],
            "has_more": shown.has_more,
            "most": MAX_STEPS_SHOWN,
            "may_cancel": not self.workflow.finished_at
            and self.access.may(Action.CANCEL, self.workflow),
            "may_retry": self.workflow.outcome in (RunState.FAILED, RunState.CANCELLED)
            and self.access.may(Action.RETRY, self.workflow),
            "problems": [*filter(None, [found.problem, hidden.problem])],
        }

    def _hidden(self, shown: WorkflowShown) -> set[UUID]:
        """Return the ids of those runs of its steps that this person may not see."""
        if not self.access.is_by_row:
            return set()
        ids = [one.id for one in shown.steps if one.kind == RUN]
        runs = [run for some in chunks(ids) for run in store().runs.filter(id__in=some)]
        return {*ids} - {run.id for run in seen_by(self.access, runs)}

    def _address_of(self, step: StepShown) -> str:
        if step.kind == GONE:
            return ""
        return self.address("run" if step.kind == RUN else "workflow", step.id)


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
            raise Refused(translated(answer.reason))
        self.record(workflow, answer.verdict)
        return _("The workflow is being cancelled.")


class RetryWorkflow(WorkflowAction):
    action = Action.RETRY

    def act_on(self, workflow: Workflow) -> str:
        retried = workflow_actions.retry(workflow)
        if retried.verdict == Verdict.NOT_APPLICABLE:
            raise Refused(translated(retried.reason))
        self.record(workflow, f"retried: {retried.runs} runs")
        return _("Members that are retried: %(number)s.") % {"number": retried.runs}


def _workflow(workflow: UUID) -> Workflow:
    found = store().workflows.filter(id=workflow).first()
    if found is None:
        raise Http404(_("There is no such workflow. It may have been deleted."))
    return found


def _in_order(counts: Counts) -> list[tuple[str, int]]:
    return [(state, counts[state]) for state in IN_ORDER if counts.get(state)]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
