"""Act on all runs that a filter means, chunk by chunk; and say beforehand which these are."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import islice
from typing import Any, NamedTuple

from django.utils.translation import gettext_noop as _

from taskworks.actions.audit import Actor, actor_of, record
from taskworks.actions.verbs import READ, Action, Done, Verb, act
from taskworks.backends.shards import databases_of_backends, in_each
from taskworks.filtering import RunFilter
from taskworks.filtering.matching_runs import all_of
from taskworks.filtering.parsing import as_texts
from taskworks.models import RunState, TaskRun
from taskworks.sentences import Sentence, counted, sentence
from taskworks.store import store

CHUNK = 500  # runs in one transaction
MAX_COUNTED = 10_000  # runs, beforehand
SAMPLE = 5  # runs
MAX_ERRORS_READ = 800  # runs, of which SQLite finds as many by one statement
READ_BEFOREHAND = ("task_path", "callable_path", "queue_name", "attempts")


class Target(NamedTuple):
    """The runs on which an action acts: those that a filter means, as they were at a time."""

    action: Action
    meant: RunFilter  # at fixed times, and with states
    before: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """What an action would act on: how many runs, of these MAX_COUNTED at most, and which."""

    target: Target
    count: int
    is_capped: bool
    by_task: dict[str, int]
    by_error: dict[str, int]  # the classes of the latest errors, of the first MAX_ERRORS_READ
    sample: list[TaskRun]

    @property
    def count_in_words(self) -> Sentence:
        """The number of runs, which may be too small."""
        if self.is_capped:
            return sentence(_("%(number)s or more runs"), number=self.count)
        return counted(self.count, _("%(number)s run"), _("%(number)s runs"))


def target_of(action: Action, meant: RunFilter) -> Target:
    """
    Return what the action is to act on, as it is now. A retry without a state is one of failed
    runs: who has cancelled a run did not want it.

    Raise ValueError for a filter that means all runs, or only such as the action does not apply to.
    """
    if meant.is_empty:
        raise ValueError(
            f"Say which runs to {action}: an empty filter means all runs. To mean all, name their "
            "states."
        )
    states = _states(action.verb, meant)
    if not states:
        raise ValueError(
            f"Only {_either(action.verb.states)} runs can be {action.verb.past}, "
            f"not {_either(meant.states) or RunState.FAILED.value} ones."
        )
    before = store().read_clock()
    return Target(action, meant.at(before).but(states=states), before)


def preview(action: Action, meant: RunFilter, most: int = MAX_COUNTED) -> Preview:
    """Return what the action would act on; nothing is written. Raise as ``target_of``."""
    target = target_of(action, meant)
    found = [*islice(_runs(target, READ_BEFOREHAND), most + 1)]
    counted = found[:most]
    errors = _errors_of(counted[:MAX_ERRORS_READ])
    return Preview(
        target,
        count=len(counted),
        is_capped=len(found) > most,
        by_task=dict(Counter(run.called_path for run in counted).most_common()),
        by_error=dict(Counter(errors).most_common()),
        sample=counted[:SAMPLE],
    )


def _errors_of(runs: Sequence[TaskRun]) -> Iterator[str]:
    """Yield the classes of the latest errors of these runs."""
    rows = store().runs.filter(id__in=[run.id for run in runs]).values_list("errors", flat=True)
    return (errors[-1]["exception_class_path"] for errors in rows if errors)


def act_on_all(target: Target) -> Iterator[Done]:
    """
    Act on these runs, and yield what was done with each chunk. To stop, do not ask for the next
    one. To repeat it, whatever has ended it, does nothing twice: a run that was retried has not
    failed before, and one that has failed again has failed later than that.
    """
    runs = _runs(target)
    while chunk := [*islice(runs, CHUNK)]:
        yield act(target.action, chunk, target.before)


def carry_out(action: Action, meant: RunFilter, by: Any = "") -> Done:
    """Act on all runs that the filter means, and record that; raise as ``target_of``."""
    target, done = target_of(action, meant), Done()
    try:
        for some in act_on_all(target):
            done = done.plus(some)
    finally:
        record_done(actor_of(by), target, done)
    return done


def carry_out_everywhere(action: Action, meant: RunFilter, by: Any = "") -> Done:
    """Do so in each database that has runs, of these backends if the filter names some."""
    where = databases_of_backends(meant.backends)
    return reduce(Done.plus, in_each(lambda: carry_out(action, meant, by), where))


def preview_everywhere(action: Action, meant: RunFilter) -> Preview:
    """Return on what that would act; the target is that of the first database."""
    where = databases_of_backends(meant.backends)
    return reduce(_together, in_each(lambda: preview(action, meant), where))


def _together(first: Preview, second: Preview) -> Preview:
    return Preview(
        first.target,
        count=min(first.count + second.count, MAX_COUNTED),
        is_capped=first.is_capped or second.is_capped or first.count + second.count > MAX_COUNTED,
        by_task=dict((Counter(first.by_task) + Counter(second.by_task)).most_common()),
        by_error=dict((Counter(first.by_error) + Counter(second.by_error)).most_common()),
        sample=[*first.sample, *second.sample][:SAMPLE],
    )


def record_done(actor: Actor, target: Target, done: Done, run: str | None = None) -> None:
    """Record what was done to all runs of a filter: once, with the filter and the counts."""
    record(
        actor,
        str(target.action),
        run=run,
        about=f"{target.meant.masked}. {done.in_words(target.action.verb)}",
        filter=as_texts(target.meant.masked),
        count=done.done,
    )


def _runs(target: Target, more: tuple[str, ...] = ()) -> Iterator[TaskRun]:
    for runs in all_of(store(), target.meant, target.before, (*READ, *more)):
        yield from runs


def _states(verb: Verb, meant: RunFilter) -> tuple[RunState, ...]:
    if meant.group is not None:  # of failures
        wanted = meant.states or (RunState.FAILED,)
        return tuple(one for one in wanted if one == RunState.FAILED and one in verb.states)
    if meant.states:
        return tuple(state for state in meant.states if state in verb.states)
    return (RunState.FAILED,) if verb == Verb.RETRY else verb.states


def _either(states: tuple[RunState, ...]) -> str:
    return " or ".join(states)
