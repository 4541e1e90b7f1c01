"""Failures by group: what fails, where, since which release; retry, mute and annotate a group."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.http import Http404
from django.utils.translation import gettext as _

from taskworks.actions import failure_actions
from taskworks.actions.verbs import Verb
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import ActionView, Page
from taskworks.dashboard.reading import read
from taskworks.dashboard.runs.rows import seen_by
from taskworks.dashboard.snapshot import forget_snapshot
from taskworks.dashboard.until import DURATIONS, given_end
from taskworks.filtering import RunFilter
from taskworks.masking import masked_text
from taskworks.models import Failure, FailureGroup, TaskRun
from taskworks.sentences import translated
from taskworks.store import store

MOST_GROUPS = 100  # on the page
MOST_OPEN = 200  # failed runs of a group that are counted in the list
MOST_RETRIED = 200  # runs, while a person waits for the page; more in the background
LATEST_RUNS = 20  # of a group


class Row(NamedTuple):
    """A group as the list shows it."""

    group: FailureGroup
    open: int | None  # of its runs that are failed now

    @property
    def is_capped(self) -> bool:
        return self.open is not None and self.open > MOST_OPEN

    @property
    def message(self) -> str:
        return masked_text(self.group.message)


class Failures(Page):
    entry = "failures"
    template = "failures.html"
    live_template = "failures_live.html"

    def title(self) -> str:
        return _("Failures")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        groups = read(self._groups)
        prints = [group.fingerprint for group in groups.value or ()][:MOST_GROUPS]
        open_ones = read(lambda: store().count_open(prints, MOST_OPEN + 1))
        ungrouped = read(store().count_ungrouped)
        counts = open_ones.value or {}
        shown = (groups.value or [])[:MOST_GROUPS]
        return {
            "now": read(store().read_clock),
            "rows": [Row(group, counts.get(group.fingerprint)) for group in shown],
            "has_more": len(groups.value or ()) > MOST_GROUPS,
            "most": MOST_GROUPS,
            "shows_muted": self._shows_muted,
            "has_muted": not shown and not self._shows_muted and read(_has_groups).value,
            "ungrouped": ungrouped.value,
            "problems": [*filter(None, [groups.problem, open_ones.problem, ungrouped.problem])],
        }

    @property
    def _shows_muted(self) -> bool:
        return self.request.GET.get("muted") == "1"

    def _groups(self) -> list[FailureGroup]:
        groups = FailureGroup.objects.using(store().alias)
        wanted = groups if self._shows_muted else groups.unmuted()
        return [*wanted.order_by("-last_at", "fingerprint")[: MOST_GROUPS + 1]]


def _has_groups() -> bool:
    return FailureGroup.objects.using(store().alias).exists()


class FailureGroupPage(Page):
    entry = "failures"
    template = "failure_group.html"

    def title(self) -> str:
        return self.group.exception

    def context(self, **ids: Any) -> Mapping[str, Any]:
        self.group = _group(ids["fingerprint"])
        seen = read(lambda: store().count_open([self.group.fingerprint], MOST_RETRIED + 1))
        runs = read(self._runs)
        return {
            "group": self.group,
            "message": masked_text(self.group.message),
            "now": read(store().read_clock),
            "open": (seen.value or {}).get(self.group.fingerprint),
            "most": MOST_RETRIED,
            "runs": runs.value or [],
            "durations": DURATIONS.items(),
            "problems": [*filter(None, [seen.problem, runs.problem])],
        }

    def _runs(self) -> list[TaskRun]:
        failures = Failure.objects.using(store().alias).filter(fingerprint=self.group.fingerprint)
        ids = [*failures.order_by("-at").values_list("run", flat=True)[:LATEST_RUNS]]
        columns = ("id", "state", "attempts", "finished_at", "queue_name")
        runs = store().runs.filter(id__in=ids).only(*columns)
        return sorted(seen_by(self.access, runs), key=lambda run: ids.index(run.id))


def _group(fingerprint: str) -> FailureGroup:
    try:
        return failure_actions.group_of(fingerprint)
    except ValueError as error:
        raise Http404(str(error)) from error


class GroupAction(ActionView):
    """An action on the group in the address; it leads back to the group's page."""

    def act(self, **ids: Any) -> str:
        group = _group(ids["fingerprint"])
        self.access.demand(self.action, group)
        return self.act_on(group)

    def act_on(self, group: FailureGroup) -> str:
        raise NotImplementedError


class RetryGroup(GroupAction):
    action = Action.RETRY
    leads_to = "failures"

    def act_on(self, group: FailureGroup) -> str:
        found = store().count_open([group.fingerprint], MOST_RETRIED + 1)[group.fingerprint]
        if found > MOST_RETRIED:
            return self.in_background(Verb.RETRY, RunFilter(group=group.fingerprint))
        retried = failure_actions.retry(group.fingerprint)
        forget_snapshot()
        self.record(group, f"retried: {retried.retried} runs, not {retried.not_applicable}")
        if retried.not_applicable:
            return _("Retried: %(done)s. Not retried: %(not_done)s. %(reason)s") % {
                "done": retried.retried,
                "not_done": retried.not_applicable,
                "reason": translated(retried.reason),
            }
        return _("Retried: %(done)s.") % {"done": retried.retried}


class MuteGroup(GroupAction):
    action = Action.ANNOTATE
    leads_to = "failures"

    def act_on(self, group: FailureGroup) -> str:
        given = self.request.POST
        end = given_end(given.get("minutes", ""), given.get("until", ""))
        muted = failure_actions.mute(group.fingerprint, end)
        self.record(group, f"muted until {muted.muted_until}" if end else "unmuted")
        return _("The group is muted.") if end else _("The group is listed again.")


class AnnotateGroup(GroupAction):
    action = Action.ANNOTATE
    leads_to = "failures"

    def act_on(self, group: FailureGroup) -> str:
        note = self.request.POST.get("note", "").replace("\r\n", "\n").strip()
        failure_actions.annotate(group.fingerprint, note)
        self.record(group, "changed the note")
        return _("The note is saved.")
