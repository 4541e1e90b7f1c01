"""Schedules: when each fires, when it has, and why it cannot; enable, disable and run one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from taskworks.actions import schedule_actions
from taskworks.actions.schedule_actions import NotApplicable
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import ActionView, Page, Refused
from taskworks.dashboard.reading import read
from taskworks.dashboard.snapshot import forget_snapshot
from taskworks.models import Schedule
from taskworks.store import store

MOST_SCHEDULES = 500  # on the page

ACTIONS = {
    "enable": (Action.CHANGE_SCHEDULE, schedule_actions.enable),
    "disable": (Action.CHANGE_SCHEDULE, schedule_actions.disable),
    "run": (Action.RUN, schedule_actions.run_now),
}


class Row(NamedTuple):
    """A schedule, in words, and what the user may do to it."""

    schedule: Schedule
    may_change: bool
    may_run: bool

    @property
    def state(self) -> str:
        return schedule_actions.state(self.schedule)

    @property
    def when(self) -> str:
        return schedule_actions.when(self.schedule)

    @property
    def in_words(self) -> str:
        return schedule_actions.in_words(self.schedule)


class Schedules(Page):
    entry = "schedules"
    template = "schedules.html"
    live_template = "schedules_live.html"

    def title(self) -> str:
        return _("Schedules")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        found = read(lambda: [*store().schedules.order_by("label")[: MOST_SCHEDULES + 1]])
        rows = [self._row(one) for one in (found.value or [])[:MOST_SCHEDULES]]
        return {
            "now": read(store().read_clock),
            "rows": rows,
            "has_actions": any(row.may_change or row.may_run for row in rows),
            "has_more": len(found.value or ()) > MOST_SCHEDULES,
            "most": MOST_SCHEDULES,
            "problems": [*filter(None, [found.problem])],
        }

    def _row(self, schedule: Schedule) -> Row:
        return Row(
            schedule,
            may_change=self.access.may(Action.CHANGE_SCHEDULE, schedule),
            may_run=self.access.may(Action.RUN, schedule),
        )


class ScheduleAction(ActionView):
    """Enables, disables or runs a schedule, as the form says."""

    leads_to = "schedules"

    def act(self, **ids: Any) -> str:
        wanted = self.request.POST.get("action", "")
        if wanted not in ACTIONS:
            raise Refused(_("%(text)s is nothing that can be done.") % {"text": repr(wanted)})
        action, act = ACTIONS[wanted]
        self.access.demand(action)
        schedule = store().schedules.filter(id=ids["schedule"]).first()
        if schedule is None:
            raise Refused(_("This schedule has been deleted."))
        self.access.demand(action, schedule)
        try:
            done = act(schedule)
        except NotApplicable as reason:
            raise Refused(f"{schedule.label}: {reason}") from None
        forget_snapshot()
        self.record(schedule, done)
        return f"{schedule.label}: {done}"
