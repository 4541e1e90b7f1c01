"""The page of a run."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _

from taskworks import jsonvalue
from taskworks.actions.steps_shown import StepShown
from taskworks.actions.steps_shown import of as steps_of
from taskworks.actions.waiting import why_waiting
from taskworks.correlation import correlation_of
from taskworks.dashboard.access import Access, Action
from taskworks.dashboard.page import DashboardView, Page
from taskworks.dashboard.reading import read
from taskworks.dashboard.runs import error_frames
from taskworks.dashboard.runs.form_fields import as_json
from taskworks.dashboard.runs.relations import MAX_SHOWN, relatives_of, strip_of
from taskworks.dashboard.runs.rows import seen_by
from taskworks.dashboard.runs.streaming import is_streamed
from taskworks.dashboard.runs.timeline import earlier_in_words, timeline_of
from taskworks.dashboard.runs.values import PARTS, changes_in, text_of, values_of
from taskworks.database.fields import Unreadable
from taskworks.database.time_limit import TookTooLong
from taskworks.log_lines import LOGGER, MAX_LINES, lines_of, messages_of
from taskworks.logs import one_line, visible
from taskworks.masking import MASK, is_secret, masked, masked_text
from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED
from taskworks.reserved_metadata import changed_of, changes_of, made_by, parent_of
from taskworks.store import store
from taskworks.store.cancelling import WAITING
from taskworks.tracebacks import summary_of

MAX_ERRORS = 20  # that are shown with their tracebacks, the latest
MAX_MESSAGES = 200  # the latest


class Failed(NamedTuple):
    """An error of a run."""

    number: int  # its place in the record
    attempt: Any
    summary: str
    at: datetime | None
    worker: str
    release: str
    traceback: error_frames.Shown
    address: str = ""  # of all of it, as text


class Said(NamedTuple):
    """A message of a run."""

    at: datetime
    level: str
    text: str


def run_with(run_id: UUID, access: Access) -> TaskRun:
    """Return the run; raise Http404 if there is none, PermissionDenied or TookTooLong."""
    found = read(lambda: store().runs.filter(id=run_id).first())
    if found.problem:
        raise TookTooLong(found.problem)
    if found.value is None:
        raise Http404(_("There is no run %(id)s. It may have been deleted.") % {"id": run_id})
    access.demand(Action.SEE, found.value)
    return found.value


class RunPage(Page):
    entry = "runs"
    template = "runs/run.html"
    live_template = "runs/run_live.html"
    run: TaskRun

    def title(self) -> str:
        return one_line(self.run.called_path)

    def context(self, **ids: Any) -> Mapping[str, Any]:
        self.run = run = run_with(ids["run_id"], self.access)
        now = read(store().read_clock).value or run.enqueued_at
        timeline = timeline_of(run, now)
        waiting = read(lambda: why_waiting(run))
        errors = [
            error._replace(address=self.address("run_text", run.id, f"error-{error.number}"))
            for error in _errors_of(run)
        ]
        return {
            "run": run,
            "now": now,
            "why_waiting": waiting.value or waiting.problem,
            "timeline": timeline,
            "earlier": earlier_in_words(timeline),
            "latest": errors[0] if errors else None,
            "others": errors[1:],
            "unreadable_errors": _unreadable(run.errors),
            "unreadable_messages": _unreadable(run.messages),
            "said": _said_by(run),
            "logged": _logged_by(run),
            "values": values_of(run, self.access),
            "schedule": made_by(run.metadata),
            "parent": parent_of(run.metadata),
            "repeats": changes_of(run.metadata),
            "changes": changes_in(run, self.access),
            "repeated_by": changed_of(run.metadata)[:MAX_SHOWN],
            "correlation_id": correlation_of(run.metadata),
            "share": _share(run),
            "is_finished": run.state in FINISHED,
            "has_begun": run.last_attempted_at is not None,
            "can": self._what_can_be_done(run),
            "parts": PARTS,
            "events": self._events(run),
        }

    def _events(self, run: TaskRun) -> str:
        """Return where the changes of the run are told; "" if nowhere, or if it has ended."""
        is_told = run.state not in FINISHED and is_streamed(self.request)
        return self.address("run_events", run.id) if is_told else ""

    def _what_can_be_done(self, run: TaskRun) -> dict[str, bool]:
        """Return which buttons there are: what applies, and the user may."""
        is_over = run.state in (RunState.FAILED, RunState.CANCELLED)
        may = self.access.may
        return {
            "retry": is_over and may(Action.RETRY, run),
            "change": run.state in FINISHED
            and may(Action.RUN, run)
            and may(Action.SEE_ARGUMENTS, run),
            "cancel": run.state not in FINISHED and may(Action.CANCEL, run),
            "run_now": run.state == RunState.SCHEDULED and may(Action.MOVE, run),
            "move": run.state in WAITING and may(Action.MOVE, run),
            "delete": run.state in FINISHED and may(Action.DELETE, run),
        }


def _errors_of(run: TaskRun) -> Iterator[Failed]:
    """Yield the errors, the latest first."""
    if isinstance(run.errors, Unreadable):
        return
    for number in range(len(run.errors) - 1, max(-1, len(run.errors) - 1 - MAX_ERRORS), -1):
        entry = run.errors[number]
        path, traceback = entry["exception_class_path"], masked_text(entry["traceback"])
        yield Failed(
            number,
            entry["attempt"],
            one_line(summary_of(path, traceback)[:1000]),
            datetime.fromisoformat(entry["at"]),
            one_line(str(entry["worker_id"] or "")),
            one_line(str(entry.get("release") or "")),
            error_frames.shown(traceback),
        )


def _said_by(run: TaskRun) -> list[Said]:
    said = messages_of(run.messages)[-MAX_MESSAGES:]
    return [_said(entry, one_line(entry["level"])) for entry in said]


def _logged_by(run: TaskRun) -> list[Said]:
    """Return what was logged, with the logger beside the level."""
    logged = lines_of(run.messages)[-MAX_LINES:]
    return [_said(line, one_line(f"{line['level']} {line[LOGGER]}")) for line in logged]


def _said(entry: dict[str, Any], level: str) -> Said:
    return Said(datetime.fromisoformat(entry["at"]), level, masked_text(visible(entry["text"])))


def _unreadable(column: Any) -> str:
    return visible(str(column.text))[:1000] if isinstance(column, Unreadable) else ""


def _share(run: TaskRun) -> float | None:
    """Return how far the run is, from 0 to 1."""
    if run.progress is None or not run.target or run.target < 0:
        return None
    return min(max(run.progress / run.target, 0.0), 1.0)


# Parts that are read only when they are looked at.


class PartPage(Page):
    """A part of a run's page that the script gets when it is opened; without it, a page."""

    entry = "runs"
    template = "runs/part.html"
    run: TaskRun

    def title(self) -> str:
        raise NotImplementedError

    def part(self, run: TaskRun) -> Mapping[str, Any]:
        """Return what the template of the part needs; all of it is read."""
        raise NotImplementedError

    def context(self, **ids: Any) -> Mapping[str, Any]:
        self.run = run_with(ids["run_id"], self.access)
        found = read(lambda: self.part(self.run))
        return {"run": self.run, "problem": found.problem, **(found.value or {})}


class StepsPage(PartPage):
    live_template = "runs/steps.html"

    def title(self) -> str:
        return _("Steps")

    def part(self, run: TaskRun) -> Mapping[str, Any]:
        may_see = self.access.may(Action.SEE_ARGUMENTS, run)
        return {"steps": [_as_seen(step, may_see) for step in steps_of(store(), run)]}


def _as_seen(step: StepShown, may_see: bool) -> StepShown:
    """Return the step without what is secret: of a value that was cut, nobody knows."""
    if step.value is None:
        return step
    if is_secret(step.name):
        return step._replace(value=MASK if may_see else None)
    try:
        value = as_json(masked(jsonvalue.decode(step.value)))
    except (ValueError, RecursionError):
        value = _("(too long to show here)")
    return step._replace(value=visible(value) if may_see else None)


class RelativesPage(PartPage):
    live_template = "runs/relatives.html"

    def title(self) -> str:
        return _("Related runs")

    def part(self, run: TaskRun) -> Mapping[str, Any]:
        relatives = relatives_of(store(), run)
        parent = next(iter(seen_by(self.access, filter(None, [relatives.parent]))), None)
        return {
            "hides_parent": relatives.parent is not None and parent is None,
            "relatives": relatives._replace(
                parent=parent,
                children=seen_by(self.access, relatives.children),
                of_request=seen_by(self.access, relatives.of_request),
            ),
        }


class StripPage(PartPage):
    live_template = "runs/strip.html"

    def title(self) -> str:
        return _("Other runs of the task")

    def part(self, run: TaskRun) -> Mapping[str, Any]:
        return {"strip": [*_bars(seen_by(self.access, strip_of(store(), run)), run)]}


class Bar(NamedTuple):
    """A run in the strip: its place and height in the drawing."""

    run: TaskRun
    left: int
    top: int
    height: int
    took: Any
    is_this: bool


HEIGHT, STEP, LOWEST = 40, 10, 4  # of the drawing, in its own units


def _bars(runs: list[TaskRun], this: TaskRun) -> Iterator[Bar]:
    times = [_took(run) for run in runs]
    longest = max((took for took in times if took is not None), default=0.0)
    for place, (run, took) in enumerate(zip(runs, times, strict=True)):
        height = LOWEST
        if took is not None and longest > 0:
            height = max(LOWEST, round(HEIGHT * took / longest))
        yield Bar(run, STEP * place, HEIGHT - height, height, took, run.id == this.id)


def _took(run: TaskRun) -> float | None:
    if run.finished_at is None or run.last_attempted_at is None:
        return None
    return max(0.0, (run.finished_at - run.last_attempted_at).total_seconds())


# As text.


class TextView(DashboardView):
    """A value or a traceback of a run, of whatever length, as plain text."""

    def get(self, request: Any, *, run_id: UUID, part: str) -> HttpResponse:
        return HttpResponse(
            self._text(run_with(run_id, self.access), part),
            content_type="text/plain; charset=utf-8",
        )

    def _text(self, run: TaskRun, part: str) -> str:
        if part in PARTS:
            return text_of(run, part, self.access)
        number = part.removeprefix("error-")
        is_number = number.isascii() and number.isdecimal() and len(number) < 10
        if is_number and not isinstance(run.errors, Unreadable) and int(number) < len(run.errors):
            return masked_text(visible(run.errors[int(number)]["traceback"]))
        raise Http404(_("The run has no such part."))
