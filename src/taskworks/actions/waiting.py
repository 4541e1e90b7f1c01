"""Why a run waits, in a sentence for people."""

from datetime import datetime

from taskworks.actions import steps_shown
from taskworks.models import Edge, Pause, RunState, TaskRun, Workflow
from taskworks.models.pause import QUEUE, scopes_of
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.models.workflow import Kind
from taskworks.options.limits import OF_ALL
from taskworks.store import Store, store
from taskworks.store.rating import closed_until

MAX_COUNTED = 1000  # runs in front of one
IN_WORDS: dict[str, str] = {
    RunState.BLOCKED: "is blocked itself",
    RunState.SCHEDULED: "is scheduled",
    RunState.READY: "waits for a worker",
    RunState.CLAIMED: "is about to begin",
    RunState.RUNNING: "is being executed",
    RunState.SUCCESSFUL: "has succeeded",
    RunState.FAILED: "has failed",
    RunState.CANCELLED: "was cancelled",
}


def why_waiting(run: TaskRun) -> str | None:
    """Return why no worker has this run; None if one has, or if it has finished."""
    match run.state:
        case RunState.BLOCKED:
            return _why_blocked(store(), run)
        case RunState.SCHEDULED:
            return _why_scheduled(store(), run) + _of_pause(store(), run)
        case RunState.READY:
            return _why_ready(store(), run)
        case _:
            return None


def _why_blocked(store: Store, run: TaskRun) -> str:
    edges = list(store.edges.filter(run=run.id).order_by("id")[:MAX_COUNTED])
    if run.is_parked:
        return _why_parked(store, edges)
    if not edges:
        return "It waits for no other run any more, and becomes ready in a moment."
    others = len(edges) - 1
    more = f" It waits for {_number(others, 'more run')} after that." if others else ""
    return f"It waits for {_what_it_follows(store, edges[0])}.{more}"


def _why_parked(store: Store, edges: list[Edge]) -> str:
    pause = store.pauses.in_force().filter(id__in=[edge.after for edge in edges]).first()
    if pause is None:
        return "The pause of its task has ended, and it becomes ready in a moment."
    return _paused(pause)


def _what_it_follows(store: Store, edge: Edge) -> str:
    """Return what an edge leads to, what that is to do, and what has become of it."""
    wanted = "end" if edge.any_end else "fail" if edge.only_failed else "succeed"
    workflow = store.workflows.filter(id=edge.after).first()
    state = store.states_of({edge.after}).get(edge.after)
    name = f"the {_kind_of(workflow)} {workflow.name!r}" if workflow else "the run"
    if state is None:
        return f"{name} {edge.after} to {wanted}, which does not exist"
    hopeless = state in FINISHED and not edge.any_end and state != RunState.SUCCESSFUL
    remedy = ": retry that one, or cancel this one" if hopeless else ""
    return f"{name} {edge.after} to {wanted}, which {_what_it_does(store, edge, state)}{remedy}"


def _what_it_does(store: Store, edge: Edge, state: str) -> str:
    before = store.runs.filter(id=edge.after).first()
    if before is None and state not in FINISHED:
        return "has not ended"  # a workflow
    if before and before.is_parked:
        return "waits for the end of its task's pause"
    return IN_WORDS.get(state) or f"is {state!r}"


def _kind_of(workflow: Workflow) -> str:
    return "group" if workflow.kind == Kind.GROUP else "workflow"


def _why_scheduled(store: Store, run: TaskRun) -> str:
    at = _moment(run.available_at)
    if run.missing_since:
        return f"Its task could not be imported; that is tried again at {at}."
    if what := steps_shown.suspended(store, run):
        return what
    if run.failures:
        return f"It waits for its next attempt, at {at}."
    return f"It is due at {at}."


def _why_ready(store: Store, run: TaskRun) -> str:
    if of_pause := _of_pause(store, run):
        return of_pause.strip()
    if unattended := _why_unattended(store, run):
        return unattended
    if run.expires_at and run.expires_at <= store.read_clock():
        return "It has expired, and fails when a worker comes to it."
    if run.limit_name is not None:
        return _why_limited(store, run)
    in_queue = store.runs.ready().unlimited()
    return f"It is ready, with {_in_front(in_queue, run)} in front of it in its queue."


def _why_limited(store: Store, run: TaskRun) -> str:
    limit = store.limits.filter(name=run.limit_name).first()
    numbers = limit.in_force if limit else {}
    in_lane = store.runs.ready().limited().filter(limit_name=run.limit_name, lane=run.lane)
    lane, front = _lane(run), f"{_in_front(in_lane, run)} in front of it"
    for name, number, in_hand in (
        (lane, numbers.get("at_once"), store.slots_in_use(str(run.limit_name), run.lane)),
        (run.limit_name, numbers.get("total"), store.slots_in_use(str(run.limit_name))),
    ):
        if number is not None and in_hand >= number:
            return f"It is limited by {name}: {in_hand} of {number} in hand, {front}."
    if limit and (closed := closed_until(store, limit, str(run.lane))):
        what = "held" if closed.rate is None else "rated"
        rate = "" if closed.rate is None else f" ({closed.rate})"
        name = run.limit_name if closed.is_total else lane
        return f"It is limited by {name}: {what} until {_moment(closed.until)}{rate}, {front}."
    return f"It is ready, with {front} in {lane}."


def _lane(run: TaskRun) -> str:
    return f"{run.limit_name}" if run.lane == OF_ALL else f"{run.limit_name}/{run.lane}"


def _of_pause(store: Store, run: TaskRun) -> str:
    scopes = scopes_of(run)
    pauses = store.pauses.in_force().of(*scopes)
    pause = min(pauses, key=lambda one: scopes.index(one.scope), default=None)
    return f" {_paused(pause)}" if pause else ""


def _paused(pause: Pause) -> str:
    what = f"queue {pause.name!r}" if pause.kind == QUEUE else f"{pause.scope}"
    return f"Its {what} is {pause.in_words}"


def _why_unattended(store: Store, run: TaskRun) -> str:
    heard = [*store.workers.heard().filter(asked_to="")]
    of_queue = [one for one in heard if one.backend == run.backend and one.takes(run.queue_name)]
    if not heard:
        return "No worker is running."
    if not of_queue:
        return f"No worker that is running takes the queue {run.queue_name!r} of {run.backend!r}."
    if not any(one.takes(run.queue_name, run.executor) for one in of_queue):
        return f"No worker of its queue {run.queue_name!r} has slots for {run.executor!r}."
    return ""


def _in_front(runs: TaskRunQuerySet, run: TaskRun) -> str:
    """Return how many of these runs are claimed before it, of those that compete for a slot."""
    lane = runs.filter(backend=run.backend, queue_name=run.queue_name, executor=run.executor)
    same_rank = lane.filter(rank=run.rank)
    first = [
        lane.filter(rank__lt=run.rank),
        same_rank.filter(available_at__lt=run.available_at),
        same_rank.filter(available_at=run.available_at, id__lt=run.id),
    ]
    count = sum(some.values("id")[:MAX_COUNTED].count() for some in first)
    return _number(count, "run")


def _number(count: int, noun: str) -> str:
    if count >= MAX_COUNTED:
        return f"{MAX_COUNTED} {noun}s or more"
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _moment(moment: datetime | None) -> str:
    if moment is None:  # somebody has written nonsense into the row
        return "an unknown time"
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}".rstrip()
