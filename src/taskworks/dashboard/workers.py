"""Workers: what each of them does, and asking one to end."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.utils.translation import gettext as _

from taskworks.actions import worker_actions
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import ActionView, Page, Refused
from taskworks.dashboard.reading import read
from taskworks.dashboard.runs.rows import seen_by
from taskworks.dashboard.snapshot import MOST_WORKERS, forget_snapshot, snapshot
from taskworks.database.clock import as_aware
from taskworks.models import TaskRun
from taskworks.models.worker import Request
from taskworks.store import store
from taskworks.store.stats import Working

MOST_RUNS = 1000  # in hand, that are shown
MOST_RUNS_EACH = 10  # of one worker


class Row(NamedTuple):
    """A worker, what it executes, and whether the user may stop it."""

    working: Working
    runs: list[TaskRun]
    more: int  # runs that are not shown
    may_stop: bool


class Workers(Page):
    entry = "workers"
    template = "workers.html"
    live_template = "workers_live.html"

    def title(self) -> str:
        return _("Workers")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        now, runs = snapshot(), read(_in_hand)
        by_worker: dict[UUID, list[TaskRun]] = defaultdict(list)
        for run in seen_by(self.access, runs.value or ()):
            by_worker[run.claimed_by].append(run)  # type: ignore[index] # they are in hand
        return {
            "now": now,
            "rows": [self._row(one, by_worker[one.worker.id]) for one in now.shown_workers],
            "most": MOST_WORKERS,
            "problems": [*filter(None, [*now.problems, runs.problem])],
        }

    def _row(self, working: Working, runs: list[TaskRun]) -> Row:
        worker = working.worker
        runs.sort(key=_began, reverse=False)
        may_stop = working.is_living and self.access.may(Action.STOP_WORKER, worker)
        more = max(0, working.runs_in_hand - min(len(runs), MOST_RUNS_EACH))
        return Row(working, runs[:MOST_RUNS_EACH], more, may_stop)


def _in_hand() -> list[TaskRun]:
    columns = ("id", "task_path", "callable_path", "claimed_by", "state", "last_attempted_at")
    return [*store().runs.in_hand().exclude(claimed_by=None).only(*columns)[:MOST_RUNS]]


def _began(run: TaskRun) -> float:
    return as_aware(run.last_attempted_at).timestamp() if run.last_attempted_at else float("inf")


class StopWorker(ActionView):
    """Asks a worker to drain, or to stop."""

    action = Action.STOP_WORKER
    leads_to = "workers"

    def act(self, **ids: Any) -> str:
        worker = store().workers.filter(id=ids["worker"]).first()
        if worker is None:
            raise Refused(_("This worker has ended."))
        self.access.demand(self.action, worker)
        wanted = self.request.POST.get("to", "")
        if wanted not in Request.values:
            raise Refused(
                _("%(text)s is nothing that a worker can be asked.") % {"text": repr(wanted)}
            )
        asked = worker_actions.ask(worker.id, Request(wanted))
        forget_snapshot()
        self.record(asked, f"asked to {wanted}")
        if wanted == Request.DRAIN:
            return _("%(worker)s takes no more runs, and ends when those it has are done.") % {
                "worker": asked
            }
        return _("%(worker)s stops.") % {"worker": asked}
