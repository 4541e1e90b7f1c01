"""``Action``: what is to be done to runs; and doing it to some of them, as far as it applies."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.utils.translation import gettext_noop as _

from taskworks.actions import run_actions
from taskworks.actions.run_actions import Answer, Verdict
from taskworks.backends.database import CANCELLATION_OF_WAITING_RUN, DatabaseBackend
from taskworks.backends.refusals import MAX_QUEUE_NAME
from taskworks.conf import nearest
from taskworks.duties.sender import sender_of
from taskworks.exceptions import InvalidTaskBackend
from taskworks.models import RunState, TaskRun
from taskworks.models.run import FINISHED, UNFINISHED
from taskworks.options.names import is_name
from taskworks.options.tasks_setting import backend_of
from taskworks.sentences import Sentence, counted, joined, sentence
from taskworks.signals import announce_cancelled, is_cancellation_heard
from taskworks.store import store
from taskworks.store.cancelling import WAITING

READ = ("id", "backend", "state")  # what must be known of a run to act on it
MIN_PRIORITY, MAX_PRIORITY = -100, 100


class Verb(StrEnum):
    """What can be done to runs."""

    RETRY = "retry"
    CANCEL = "cancel"
    RUN_NOW = "run-now"
    MOVE = "move-runs"
    DELETE = "delete"

    @property
    def states(self) -> tuple[RunState, ...]:
        """The states of runs to which it applies."""
        return _STATES[self]

    @property
    def past(self) -> str:
        """What was done."""
        return _PAST[self]


_STATES: dict[Verb, tuple[RunState, ...]] = {
    Verb.RETRY: (RunState.FAILED, RunState.CANCELLED),
    Verb.CANCEL: UNFINISHED,
    Verb.RUN_NOW: (RunState.SCHEDULED,),
    Verb.MOVE: tuple(WAITING),
    Verb.DELETE: FINISHED,
}
_PAST = {
    Verb.RETRY: "retried",
    Verb.CANCEL: "cancelled",
    Verb.RUN_NOW: "made ready",
    Verb.MOVE: "moved",
    Verb.DELETE: "deleted",
}
# Of one run, and of any other number.
_SAID = {
    Verb.RETRY: (_("Retried %(number)s run"), _("Retried %(number)s runs")),
    Verb.CANCEL: (_("Cancelled %(number)s run"), _("Cancelled %(number)s runs")),
    Verb.RUN_NOW: (_("Made ready %(number)s run"), _("Made ready %(number)s runs")),
    Verb.MOVE: (_("Moved %(number)s run"), _("Moved %(number)s runs")),
    Verb.DELETE: (_("Deleted %(number)s run"), _("Deleted %(number)s runs")),
}


@dataclass(frozen=True, slots=True)
class Action:
    """
    What is to be done; a move has a queue, a priority, or both. Raise ValueError for a queue or a
    priority that runs cannot have, and TypeError for one that is none.
    """

    verb: Verb
    queue: str | None = None
    priority: int | None = None

    def __post_init__(self) -> None:
        if self.verb != Verb.MOVE:
            if self.queue is not None or self.priority is not None:
                raise ValueError("Only a move has a queue and a priority.")
            return
        if self.queue is None and self.priority is None:
            raise ValueError("Say where to move the runs: to a queue, to a priority, or both.")
        if self.queue is not None:
            _refuse_bad_queue(self.queue)
        if self.priority is not None:
            _refuse_bad_priority(self.priority)

    def __str__(self) -> str:
        where = [f"to the queue {self.queue}"] if self.queue is not None else []
        where += [f"to priority {self.priority}"] if self.priority is not None else []
        verb = "move" if self.verb == Verb.MOVE else self.verb.replace("-", " ")
        return " ".join([verb, " and ".join(where)]).strip()


def action_of(verb: str, queue: str | None = None, priority: int | None = None) -> Action:
    """Return the action with this name; raise ValueError if there is none, and as ``Action``."""
    name = str(verb).replace("_", "-")
    if name not in {*Verb}:
        known = [verb.value for verb in Verb]
        raise ValueError(f"There is no action {name!r:.100} for runs.{nearest(name, known)}")
    return Action(Verb(name), queue, priority)


class Done(NamedTuple):
    """How many runs an action has changed, and why not the others: one reason of maybe several."""

    done: int = 0
    asked: int = 0  # of these: how many run, and were asked to stop
    not_applicable: int = 0
    reason: str = ""

    def plus(self, other: "Done") -> "Done":
        """Return the sum."""
        return Done(
            self.done + other.done,
            self.asked + other.asked,
            self.not_applicable + other.not_applicable,
            other.reason or self.reason,
        )

    def in_words(self, verb: Verb) -> Sentence:
        """Return a sentence or two."""
        done = counted(self.done, *_SAID[verb])
        if self.asked:
            asked = _("%(done)s, %(number)s of which a worker has and will stop.")
            done = sentence(asked, done=done, number=self.asked)
        else:
            done = joined(done, ".", by="")
        if not self.not_applicable:
            return done
        but = sentence(
            _("Not applicable to %(number)s: %(reason)s"),
            number=self.not_applicable,
            reason=self.reason,
        )
        return joined(done, but)


def act(action: Action, runs: Sequence[TaskRun], before: datetime) -> Done:
    """
    Act on these runs, of which ``READ`` is known, as far as it applies when it is done. What has
    begun after ``before`` is not made to run now.
    """
    return _ACTS[action.verb](action, runs, before)


def act_on_one(action: Action, run: TaskRun) -> Answer:
    """Act on one run; return what was done, or why nothing was."""
    if action.verb == Verb.RETRY:
        return run_actions.retry(run)
    if action.verb == Verb.CANCEL:
        return run_actions.cancel(run)
    done = act(action, [run], store().read_clock())
    verdicts = {
        Verb.RUN_NOW: Verdict.MADE_READY,
        Verb.MOVE: Verdict.MOVED,
        Verb.DELETE: Verdict.DELETED,
    }
    if done.done:
        return Answer(verdicts[action.verb])
    return Answer(Verdict.NOT_APPLICABLE, done.reason)


# Each does what it can in one statement for all of them, and the rest one by one.


def _retry(action: Action, runs: Sequence[TaskRun], before: datetime) -> Done:
    alike = [run.id for run in runs if _is_of_ours(run.backend)]
    retried = store().retry_all(alike)
    others = (run for run in runs if run.id not in retried)
    return _one_by_one(others, run_actions.retry).plus(Done(len(retried)))


def _cancel(action: Action, runs: Sequence[TaskRun], before: datetime) -> Done:
    waiting = [run.id for run in runs if run.state in WAITING and _is_of_ours(run.backend)]
    cancelled = store().cancel_waiting(waiting, CANCELLATION_OF_WAITING_RUN)
    announce(cancelled)
    others = (run for run in runs if run.id not in cancelled)
    return _one_by_one(others, run_actions.cancel).plus(Done(len(cancelled)))


def _run_now(action: Action, runs: Sequence[TaskRun], before: datetime) -> Done:
    made_ready = store().run_now([run.id for run in runs], before)
    reason = sentence(_("Only a run that waits for its time can be made to run now."))
    return _but_for(made_ready, runs, reason)


def _move(action: Action, runs: Sequence[TaskRun], before: datetime) -> Done:
    rank = None if action.priority is None else -action.priority
    there = {alias: _why_not_there(alias, action.queue) for alias in {run.backend for run in runs}}
    meant = [run.id for run in runs if not there[run.backend]]
    moved = store().move(meant, action.queue, rank)
    only = sentence(_("Only a run that waits can be moved."))
    reason = next(filter(None, there.values()), only)
    return _but_for(moved, runs, reason)


def _delete(action: Action, runs: Sequence[TaskRun], before: datetime) -> Done:
    deleted = store().delete([run.id for run in runs])
    reason = _(
        "Only a run that has ended can be deleted, is not a step of a workflow, and is not waited "
        "for."
    )
    return _but_for(deleted, runs, sentence(reason))


_ACTS: dict[Verb, Callable[[Action, Sequence[TaskRun], datetime], Done]] = {
    Verb.RETRY: _retry,
    Verb.CANCEL: _cancel,
    Verb.RUN_NOW: _run_now,
    Verb.MOVE: _move,
    Verb.DELETE: _delete,
}


def announce(cancelled: Iterable[UUID]) -> None:
    """Send the signals of runs that were cancelled while they waited."""
    ids = [*cancelled]
    if ids and is_cancellation_heard():
        for run in store().runs.filter(id__in=ids):
            if sender := sender_of(run):
                announce_cancelled(sender, run.to_result())


def _one_by_one(runs: Iterable[TaskRun], act_on: Callable[[TaskRun], Answer]) -> Done:
    done = Done()
    for run in runs:
        verdict, reason = act_on(run)
        if verdict == Verdict.NOT_APPLICABLE:
            done = done.plus(Done(not_applicable=1, reason=reason))
        else:
            done = done.plus(Done(done=1, asked=int(verdict == Verdict.ASKED_TO_STOP)))
    return done


def _but_for(changed: set[UUID], runs: Sequence[TaskRun], reason: str) -> Done:
    missing = len({run.id for run in runs} - changed)
    return Done(len(changed), not_applicable=missing, reason=reason if missing else "")


def _is_of_ours(alias: str) -> bool:
    """Return whether the backend of runs is ours, and has not changed what these verbs do."""
    try:
        kind = type(backend_of(alias))
    except InvalidTaskBackend:
        return False
    return issubclass(kind, DatabaseBackend) and all(
        getattr(kind, verb) is getattr(DatabaseBackend, verb) for verb in ("retry", "cancel")
    )


# Where runs can be moved.


def _refuse_bad_queue(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"queue must be the name of a queue, not {name!r}.")
    if not is_name(name, MAX_QUEUE_NAME):
        raise ValueError(
            f"The name of a queue must be 1 to {MAX_QUEUE_NAME} printable characters without "
            f"surrounding spaces, not {name!r}."
        )


def _refuse_bad_priority(priority: object) -> None:
    if isinstance(priority, bool) or not isinstance(priority, int):
        raise TypeError(f"priority must be a whole number, not {priority!r}.")
    if not MIN_PRIORITY <= priority <= MAX_PRIORITY:
        raise ValueError(f"priority must be from {MIN_PRIORITY} to {MAX_PRIORITY}, not {priority}.")


def _why_not_there(alias: str, queue: str | None) -> str:
    """Return why the runs of a backend cannot be moved to a queue; "" if they can."""
    try:
        queues = backend_of(alias).queues
    except InvalidTaskBackend as error:
        return f"Its backend is gone: {error}"
    if queue is None or not queues or queue in queues:
        return ""
    near = nearest(queue, sorted(queues))
    return f"The backend {alias!r} has no queue {queue!r} in TASKS.{near}"
