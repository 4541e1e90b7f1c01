"""What a person does to one run."""

from typing import Any

from django.utils.translation import gettext as _

from taskworks.actions import audit
from taskworks.actions.run_actions import Verdict
from taskworks.actions.verbs import Action as Deed
from taskworks.actions.verbs import Verb, act_on_one
from taskworks.dashboard.page import ActionView, Refused
from taskworks.dashboard.runs.deeds import ACTION_OF
from taskworks.dashboard.runs.list_page import forget_counts
from taskworks.dashboard.runs.run_page import run_with
from taskworks.dashboard.snapshot import forget_snapshot
from taskworks.sentences import translated


class ActOnRun(ActionView):
    """Retries, cancels or begins a run; what needs to be asked first has a page."""

    leads_to = "runs"

    def act(self, **ids: Any) -> str:
        wanted = Verb(ids["verb"])
        run = run_with(ids["run_id"], self.access)
        self.access.demand(ACTION_OF[wanted], run)
        verdict, reason = act_on_one(Deed(wanted), run)
        if verdict == Verdict.NOT_APPLICABLE:
            raise Refused(translated(reason))
        audit.record(self.actor, wanted.value, run=run.id)
        forget()
        return _done(verdict)


def _done(verdict: Verdict) -> str:
    return {
        Verdict.RETRIED: _("The run was retried."),
        Verdict.CANCELLED: _("The run was cancelled."),
        Verdict.ASKED_TO_STOP: _("Its worker was asked to stop it."),
        Verdict.MADE_READY: _("The run is ready now."),
        Verdict.DELETED: _("The run was deleted."),
        Verdict.MOVED: _("The run was moved."),
    }[verdict]


def forget() -> None:
    """Have the next page show what was done."""
    forget_counts()
    forget_snapshot()
