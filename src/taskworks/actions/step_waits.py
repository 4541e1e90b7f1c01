"""What the steps of a workflow wait for, in sentences, without a query for each of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from django.utils.translation import gettext_noop as _

from taskworks.models import Edge, RunState, TaskRun, Workflow
from taskworks.models.run import FINISHED
from taskworks.sentences import Sentence, counted, joined, moment_in_words, sentence
from taskworks.store import Store
from taskworks.store.blocking import holds
from taskworks.store.statements import chunks
from taskworks.store.workflow_retries import ANY_END, FAILURE

MAX_NAMED = 5  # steps or events in a sentence

Rule = tuple[UUID, str]  # the id of a step, and how that is to end


class WaitsOfSteps:
    """
    Says what steps wait for. ``names`` are those of the steps that were read; ``runs`` and
    ``workflows`` what these are.
    """

    def __init__(
        self,
        store: Store,
        runs: Mapping[UUID, TaskRun],
        workflows: Mapping[UUID, Workflow],
        names: Mapping[UUID, str],
    ) -> None:
        self._names = names
        self._states = {id_: run.state for id_, run in runs.items()}
        self._states |= {id_: row.outcome or "running" for id_, row in workflows.items()}
        self._events = _open_events(store, runs.values())

    def name_of(self, step: UUID) -> str:
        """Return the name of a step; its id if that is not among those that were read."""
        return self._names.get(step, str(step))

    def in_words(
        self, state: str | None, after: Sequence[Rule], run: TaskRun | None
    ) -> Sentence | None:
        """Return what a step in this state waits for; None if it waits for nothing."""
        match state:
            case RunState.BLOCKED if run and run.is_parked:
                return sentence(_("It waits for the end of its task's pause."))
            case RunState.BLOCKED:
                return self._why_blocked(after)
            case RunState.SCHEDULED if run:
                return self._why_scheduled(run)
            case RunState.READY if run:
                return _why_ready(run)
            case _:
                return None

    def _why_blocked(self, after: Sequence[Rule]) -> Sentence:
        before = [rule for rule in after if not self._holds(rule)]
        if not before:
            return sentence(
                _("It waits for no other step any more, and becomes ready in a moment.")
            )
        wanted = [self._wanted(rule) for rule in before]
        return sentence(_("It waits for %(what)s."), what=_listed(wanted))

    def _holds(self, rule: Rule) -> bool:
        before, wanted = rule
        edge = Edge(any_end=wanted == ANY_END, only_failed=wanted == FAILURE)
        return holds(edge, self._states.get(before))

    def _wanted(self, rule: Rule) -> str:
        before, wanted = rule
        name, state = repr(self.name_of(before)), self._states.get(before)
        if wanted == ANY_END:
            return sentence(_("the end of %(name)s"), name=name)
        if wanted == FAILURE:
            return sentence(_("a failure of %(name)s"), name=name)
        if state is None and before not in self._names:
            return name
        if state is None:
            return sentence(_("%(name)s, which was deleted"), name=name)
        return _with_fate(name, state)

    def _why_scheduled(self, run: TaskRun) -> Sentence:
        at = moment_in_words(run.available_at)
        if run.missing_since:
            return sentence(
                _("Its task could not be imported; that is tried again at %(time)s."), time=at
            )
        if names := self._events.get(run.id):
            return counted(
                len(names),
                _("It waits for the event %(names)s."),
                _("It waits for the events %(names)s."),
                names=_listed([*map(repr, names)]),
            )
        return sentence(_("It is due at %(time)s."), time=at)


def _with_fate(name: str, state: str) -> str:
    if state not in FINISHED:
        return name
    failed = _("%(name)s, which has failed and can be retried")
    cancelled = _("%(name)s, which was cancelled and can be retried")
    return sentence(failed if state == RunState.FAILED else cancelled, name=name)


def _why_ready(run: TaskRun) -> Sentence:
    if not run.limit_name:
        return sentence(_("It waits for a worker."))
    return sentence(
        _("It waits for a worker, or for a place of the limit %(name)s."),
        name=repr(run.limit_name),
    )


def _open_events(store: Store, runs: Iterable[TaskRun]) -> dict[UUID, list[str]]:
    """Return the names of the events that scheduled runs wait for, if there are such runs."""
    found: dict[UUID, list[str]] = defaultdict(list)
    scheduled = [run.id for run in runs if run.state == RunState.SCHEDULED]
    for some in chunks(scheduled):
        events = store.events.filter(run__in=some, ended_at=None).order_by("run", "name")
        for run, name in events.values_list("run", "name"):
            found[run].append(name)
    return found


def _listed(words: Sequence[str]) -> str:
    """Return such as "a, b and 3 more"."""
    named, others = [*words[:MAX_NAMED]], len(words) - MAX_NAMED
    if others > 0:
        named.append(sentence(_("%(number)s more"), number=others))
    if len(named) == 1:
        return named[0]
    return sentence(_("%(names)s and %(last)s"), names=joined(*named[:-1], by=", "), last=named[-1])
