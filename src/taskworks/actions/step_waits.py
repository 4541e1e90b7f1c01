"""What the steps of a workflow wait for, in sentences, without a query for each of them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from taskworks.models import Edge, RunState, TaskRun, Workflow
from taskworks.models.run import FINISHED
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

    def in_words(self, state: str | None, after: Sequence[Rule], run: TaskRun | None) -> str | None:
        """Return what a step in this state waits for; None if it waits for nothing."""
        match state:
            case RunState.BLOCKED if run and run.is_parked:
                return "It waits for the end of its task's pause."
            case RunState.BLOCKED:
                return self._why_blocked(after)
            case RunState.SCHEDULED if run:
                return self._why_scheduled(run)
            case RunState.READY if run:
                place = f", or for a place of the limit {run.limit_name!r}"
                return f"It waits for a worker{place if run.limit_name else ''}."
            case _:
                return None

    def _why_blocked(self, after: Sequence[Rule]) -> str:
        before = [rule for rule in after if not self._holds(rule)]
        if not before:
            return "It waits for no other step any more, and becomes ready in a moment."
        return f"It waits for {_listed([self._wanted(rule) for rule in before])}."

    def _holds(self, rule: Rule) -> bool:
        before, wanted = rule
        edge = Edge(any_end=wanted == ANY_END, only_failed=wanted == FAILURE)
        return holds(edge, self._states.get(before))

    def _wanted(self, rule: Rule) -> str:
        before, wanted = rule
        name, state = repr(self.name_of(before)), self._states.get(before)
        if wanted == ANY_END:
            return f"the end of {name}"
        if wanted == FAILURE:
            return f"a failure of {name}"
        if state is None and before not in self._names:
            return name
        if state is None:
            return f"{name}, which was deleted"
        if state in FINISHED:
            became = "has failed" if state == RunState.FAILED else "was cancelled"
            return f"{name}, which {became} and can be retried"
        return name

    def _why_scheduled(self, run: TaskRun) -> str:
        if run.missing_since:
            at = _moment(run.available_at)
            return f"Its task could not be imported; that is tried again at {at}."
        if names := self._events.get(run.id):
            events = f"event{'s' if len(names) > 1 else ''} {_listed([*map(repr, names)])}"
            return f"It waits for the {events}."
        return f"It is due at {_moment(run.available_at)}."


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
        named.append(f"{others} more")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _moment(moment: datetime | None) -> str:
    if moment is None:  # somebody has written nonsense into the row
        return "an unknown time"
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".rstrip()
