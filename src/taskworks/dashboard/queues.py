"""Queues: pause, resume and clear them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from taskworks.actions import clearing, pausing, scopes
from taskworks.actions.verbs import Verb
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import REFUSALS, ActionView, Page, Refused
from taskworks.dashboard.queue_lines import QueueLine, queue_lines
from taskworks.dashboard.reading import read
from taskworks.dashboard.snapshot import forget_snapshot, snapshot
from taskworks.dashboard.until import DURATIONS, given_end
from taskworks.filtering import RunFilter
from taskworks.models import Pause, TaskRun
from taskworks.models.pause import QUEUE, Scope
from taskworks.store import store
from taskworks.store.cancelling import WAITING

MOST_CLEARED = 1000  # runs, while a person waits for the page; more in the background


class Row(NamedTuple):
    """A queue, and what the user may do to it."""

    line: QueueLine
    place: int  # which makes ids in the page unique
    may_pause: bool
    may_resume: bool
    may_clear: bool


class Queues(Page):
    entry = "queues"
    template = "queues.html"
    live_template = "queues_live.html"

    def title(self) -> str:
        return _("Queues")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        now = snapshot()
        return {
            "now": now,
            "rows": [self._row(place, line) for place, line in enumerate(queue_lines(now))],
            "durations": DURATIONS.items(),
            "has_actions": True,
        }

    def _row(self, place: int, line: QueueLine) -> Row:
        scope = Scope(QUEUE, line.queue.name, line.queue.backend)
        return Row(
            line,
            place,
            may_pause=self.access.may(Action.PAUSE, scope),
            may_resume=bool(line.queue.pause) and self.access.may(Action.RESUME, scope),
            may_clear=self.access.may(Action.CANCEL, scope),
        )


class QueueAction(ActionView):
    """An action on the queue that the form names."""

    leads_to = "queues"

    def scope(self) -> Scope:
        """Return the queue; raise an error of REFUSALS, or PermissionDenied."""
        given = self.request.POST
        scope = scopes.scope_of(given.get("queue", ""), backend=given.get("backend", ""))
        self.access.demand(self.action, scope)
        scopes.demand_here(scope)
        return scope


class PauseQueue(QueueAction):
    action = Action.PAUSE

    def act(self, **ids: Any) -> str:
        scope, given = self.scope(), self.request.POST
        paused = pausing.pause(
            scope,
            until=given_end(given.get("minutes", ""), given.get("until", "")),
            reason=given.get("reason", "").strip(),
            by=self.actor.name[: pausing.MAX_BY],
            wait=False,
        )
        forget_snapshot()
        self.record(paused, f"paused: {paused.in_words}")
        return _("The queue %(queue)s is paused.") % {"queue": scope.name}


class ResumeQueue(QueueAction):
    action = Action.RESUME

    def act(self, **ids: Any) -> str:
        scope = self.scope()
        if not pausing.resume(scope):
            raise Refused(_("The queue %(queue)s was not paused.") % {"queue": scope.name})
        forget_snapshot()
        self.record(Pause, f"resumed the {scope}")
        return _("The queue %(queue)s is resumed.") % {"queue": scope.name}


class ClearQueue(Page):
    """Says what clearing a queue would do, and does it when that is confirmed."""

    entry = "queues"
    action = Action.CANCEL
    template = "clear_queue.html"

    def title(self) -> str:
        return _("Clear the queue %(queue)s") % {"queue": self.scope.name}

    def get(self, request: HttpRequest, **ids: Any) -> HttpResponse:
        try:
            self._find(request.GET)
        except REFUSALS as refused:
            return self._back(request, str(refused), is_done=False)
        return super().get(request, **ids)

    def context(self, **ids: Any) -> Mapping[str, Any]:
        waiting = read(lambda: store().count_waiting(self.scope))
        return {"scope": self.scope, "waiting": waiting, "most": MOST_CLEARED}

    def post(self, request: HttpRequest, **ids: Any) -> HttpResponse:
        try:
            self._find(request.POST)
            done = self._clear()
        except REFUSALS as refused:
            return self._back(request, str(refused), is_done=False)
        return self._back(request, done, is_done=True)

    def _find(self, given: Any) -> None:
        self.scope = scopes.scope_of(given.get("queue", ""), backend=given.get("backend", ""))
        self.access.demand(self.action, self.scope)
        scopes.demand_here(self.scope)
        scopes.demand(self.scope)

    def _clear(self) -> str:
        waiting = read(lambda: store().count_waiting(self.scope))
        if waiting.value is None or waiting.value > MOST_CLEARED:
            meant = RunFilter(
                queues=(self.scope.name,), backends=(self.scope.backend,), states=tuple(WAITING)
            )
            return self.in_background(Verb.CANCEL, meant)
        cancelled = clearing.clear(self.scope)
        forget_snapshot()
        self.record(TaskRun, f"cleared the {self.scope}: {cancelled} runs cancelled")
        return _("Cancelled runs of the queue %(queue)s: %(number)s.") % {
            "queue": self.scope.name,
            "number": cancelled,
        }

    def _back(self, request: HttpRequest, text: str, *, is_done: bool) -> HttpResponse:
        self.tell(text, is_error=not is_done)
        return HttpResponseRedirect(self.address("queues"))
