"""
What is done to all runs that a filter means: a page that says what would happen, and the deed.

A few are done at once. For more, a run of our own acts on them in the background, with progress.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from taskworks.actions import bulk, bulk_run
from taskworks.actions.bulk import CHUNK, MAX_ERRORS_READ, Preview
from taskworks.actions.verbs import Action as Deed
from taskworks.actions.verbs import Done, Verb
from taskworks.dashboard.reading import read
from taskworks.dashboard.runs.acting import forget
from taskworks.dashboard.runs.deeds import ACTION_OF, LABELS, offered_for
from taskworks.dashboard.runs.form_page import FormPage
from taskworks.dashboard.runs.meant import Meant, Texts, meant_by
from taskworks.dashboard.runs.rows import COLUMNS, rows_of
from taskworks.exceptions import InvalidTask, InvalidTaskBackend
from taskworks.filtering import RunFilter
from taskworks.filtering.matching_runs import all_of
from taskworks.filtering.parsing import as_texts
from taskworks.sentences import translated
from taskworks.store import store

ASKED_ABOVE = 1_000  # runs, whose number has to be typed
LONGEST_READ = 5.0  # seconds, because thousands are read to be counted by task and by error
MAX_LISTED = 10  # tasks, or classes of errors

EFFECTS: dict[Verb, Any] = {
    Verb.RETRY: gettext_lazy(
        "Each becomes ready again under its id, with its arguments and all of its attempts."
    ),
    Verb.CANCEL: gettext_lazy(
        "Those that wait never begin. Those that a worker has are asked to stop."
    ),
    Verb.RUN_NOW: gettext_lazy("Each becomes ready, as if its time had come."),
    Verb.MOVE: gettext_lazy("Each waits in its new queue, or with its new priority."),
    Verb.DELETE: gettext_lazy(
        "Their rows are deleted, with arguments, results and errors. This cannot be undone."
    ),
}


class Choice(NamedTuple):
    label: str
    address: str


class Wanted(NamedTuple):
    """What was asked for: the runs, the deed once it is complete, and what is wrong."""

    meant: Meant
    verb: Verb | None
    deed: Deed | None
    problems: list[str]


class MatchingPage(FormPage):
    entry = "runs"
    template = "runs/matching.html"

    def title(self) -> str:
        return _("All runs that match")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        return self._context_of(self._wanted(self.request.GET))

    def post(self, request: HttpRequest, **ids: Any) -> HttpResponse:
        wanted = self._wanted(request.POST)
        if wanted.verb is not None:
            self.access.demand(ACTION_OF[wanted.verb])
        deed, meant = wanted.deed, wanted.meant.filter
        if deed is None or meant is None or wanted.problems:
            return self._again(wanted, wanted.problems or [_("Choose what to do.")])
        try:
            seen = bulk.preview(deed, meant)
            if seen.count > ASKED_ABOVE and not _is_confirmed(request):
                return self._again(wanted, [_("Type the number of runs, to confirm that.")])
            is_large = seen.count > CHUNK or seen.is_capped
            if self.access.is_by_row:
                seen = self._theirs(deed, seen, is_large=is_large)
            elif is_large:
                return HttpResponseRedirect(self._begun(deed, meant))
            self._do(deed, seen)
            return HttpResponseRedirect(self._next(deed, wanted.meant.texts))
        except (InvalidTask, InvalidTaskBackend, TypeError, ValueError) as error:
            return self._again(wanted, [str(error)])

    def _wanted(self, given: Any) -> Wanted:
        meant = meant_by(_without_our_fields(given), self.access)
        try:
            verb = Verb(given.get("do", ""))
        except ValueError:
            return Wanted(meant, None, None, meant.problems)
        try:
            deed = Deed(verb, given.get("to-queue") or None, _priority(given.get("to-priority")))
        except (TypeError, ValueError) as error:
            is_asked = "to-queue" in given or "to-priority" in given
            return Wanted(meant, verb, None, [*meant.problems, *([str(error)] if is_asked else [])])
        return Wanted(meant, verb, deed, meant.problems)

    def _context_of(self, wanted: Wanted) -> dict[str, Any]:
        meant, verb = wanted.meant, wanted.verb
        if verb is not None and not self.access.may(ACTION_OF[verb]):
            verb, wanted = None, wanted._replace(verb=None, deed=None)
        shown: dict[str, Any] = {}
        if verb is not None and meant.filter is not None:
            shown = self._preview(wanted.deed or Deed(verb, priority=0), meant.filter)
        return {
            "meant": str(meant.filter) if meant.filter else "",
            "verb": verb,
            "label": LABELS[verb] if verb else "",
            "effect": EFFECTS[verb] if verb else "",
            "choices": [
                Choice(label, self.address("runs_matching", **meant.texts, do=value))
                for value, label in offered_for(meant.filter, self.access)
            ],
            "back": self.address("runs", **meant.texts),
            "is_move": verb == Verb.MOVE,
            "to_queue": self._given("to-queue"),
            "to_priority": self._given("to-priority"),
            **shown,
            "problems": [*wanted.problems, *shown.get("problems", [])],
        }

    def _preview(self, deed: Deed, meant: RunFilter) -> dict[str, Any]:
        """Return what would happen; for a move, before it is known whereto."""
        try:
            found = read(lambda: self._read(deed, meant), LONGEST_READ)
        except (TypeError, ValueError) as error:
            return {"problems": [str(error)]}
        if found.value is None:
            return {"problems": [found.problem]}
        seen, rows, now = found.value
        target = seen.target
        return {
            "seen": seen,
            "rows": rows,
            "now": now,
            "by_task": [*seen.by_task.items()][:MAX_LISTED],
            "by_error": [*seen.by_error.items()][:MAX_LISTED],
            "errors_are_all": seen.count <= MAX_ERRORS_READ and not seen.is_capped,
            "other_tasks": max(0, len(seen.by_task) - MAX_LISTED),
            "other_errors": max(0, len(seen.by_error) - MAX_LISTED),
            "asks": seen.count > ASKED_ABOVE,
            "in_background": seen.count > CHUNK or seen.is_capped,
            # Not what comes meanwhile, and not a "two hours ago" that has moved on.
            "hidden": [
                (name, text)
                for name, texts in as_texts(
                    target.meant.but(until=target.meant.until or target.before)
                ).items()
                for text in texts
            ],
        }

    def _read(self, deed: Deed, meant: RunFilter) -> tuple[Preview, list[Any], Any]:
        seen = bulk.preview(deed, meant)
        now = store().read_clock()
        ids = [run.id for run in seen.sample]
        sample = [*store().runs.filter(id__in=ids).only(*COLUMNS)]
        return seen, rows_of(store(), sample, self.access, now), now

    def _begun(self, deed: Deed, meant: RunFilter) -> str:
        """Have a run do it, and return the address of that run."""
        result = bulk_run.start(deed, meant, by=self.actor)
        said = _("This run does it. Cancel it to stop; what is done stays done.")
        messages.success(self.request, said, fail_silently=True)
        return self.address("run", result.id)

    def _theirs(self, deed: Deed, seen: Preview, *, is_large: bool) -> Preview:
        """Return what would happen to those runs alone to which they may do it."""
        if is_large:
            raise ValueError(
                _(
                    "The function in DASHBOARD_ACCESS decides for each run, so at most %(most)s "
                    "are acted on at once: name fewer."
                )
                % {"most": CHUNK}
            )
        target = seen.target
        found = [
            run for some in all_of(store(), target.meant, target.before, COLUMNS) for run in some
        ]
        allowed = [run.id for run in found if self.access.may(ACTION_OF[deed.verb], run)]
        if not allowed:
            raise PermissionDenied(_("You may not do this to any of these runs."))
        return replace(seen, target=target._replace(meant=target.meant.but(ids=tuple(allowed))))

    def _do(self, deed: Deed, seen: Preview) -> None:
        done = Done()
        try:
            for some in bulk.act_on_all(seen.target):
                done = done.plus(some)
        finally:
            bulk.record_done(self.actor, seen.target, done)
            forget()
        add = messages.warning if done.not_applicable else messages.success
        add(self.request, translated(done.in_words(deed.verb)), fail_silently=True)

    def _next(self, deed: Deed, texts: Texts) -> str:
        """Return the page of the run if it is one and is left, else a list of the same states."""
        ids = texts.get("id", [])
        if len(ids) == 1 and deed.verb != Verb.DELETE:
            return self.address("run", ids[0])
        states = texts.get("state", [])
        return self.address("runs", state=states if len(states) == 1 else [])

    def _again(self, wanted: Wanted, problems: list[str]) -> HttpResponse:
        wanted = wanted._replace(problems=problems)
        return self.again(self._context_of(wanted))

    def _given(self, name: str) -> str:
        given = self.request.POST if self.request.method == "POST" else self.request.GET
        return str(given.get(name, ""))


FIELDS = ("to-queue", "to-priority", "typed", "count", "csrfmiddlewaretoken")


def _without_our_fields(given: Any) -> Any:
    left = given.copy()
    for name in FIELDS:
        left.pop(name, None)
    return left


def _priority(text: str | None) -> int | None:
    if not text or not text.strip():
        return None
    try:
        return int(text[:10])
    except ValueError:
        raise ValueError(
            _("A priority is a whole number, not %(text)s.") % {"text": repr(text)}
        ) from None


def _is_confirmed(request: HttpRequest) -> bool:
    typed = _digits("typed", request)
    return typed != "" and typed == _digits("count", request)


def _digits(name: str, request: HttpRequest) -> str:
    return "".join(one for one in request.POST.get(name, "") if one.isdecimal())
