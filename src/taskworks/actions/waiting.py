"""Why a run waits, in a sentence for people."""

from django.utils.translation import gettext_noop as _

from taskworks.actions import steps_shown
from taskworks.models import Edge, Pause, RunState, TaskRun, Workflow
from taskworks.models.pause import QUEUE, scopes_of
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.models.workflow import Kind
from taskworks.options.limits import OF_ALL
from taskworks.sentences import Sentence, counted, joined, moment_in_words, sentence
from taskworks.store import Store, store_of
from taskworks.store.rating import closed_until

MAX_COUNTED = 1000  # runs in front of one
IN_WORDS: dict[str, str] = {
    RunState.BLOCKED: _("is blocked itself"),
    RunState.SCHEDULED: _("is scheduled"),
    RunState.READY: _("waits for a worker"),
    RunState.CLAIMED: _("is about to begin"),
    RunState.RUNNING: _("is being executed"),
    RunState.SUCCESSFUL: _("has succeeded"),
    RunState.FAILED: _("has failed"),
    RunState.CANCELLED: _("was cancelled"),
}


def why_waiting(run: TaskRun) -> Sentence | None:
    """Return why no worker has this run; None if one has, or if it has finished."""
    match run.state:
        case RunState.BLOCKED:
            return _why_blocked(store_of(run), run)
        case RunState.SCHEDULED:
            return joined(_why_scheduled(store_of(run), run), _of_pause(store_of(run), run))
        case RunState.READY:
            return _why_ready(store_of(run), run)
        case _:
            return None


def _why_blocked(store: Store, run: TaskRun) -> Sentence:
    edges = list(store.edges.filter(run=run.id).order_by("id")[:MAX_COUNTED])
    if run.is_parked:
        return _why_parked(store, edges)
    if not edges:
        return sentence(_("It waits for no other run any more, and becomes ready in a moment."))
    first = sentence(_("It waits for %(what)s."), what=_what_it_follows(store, edges[0]))
    return joined(first, _of_others(len(edges) - 1))


def _of_others(number: int) -> str:
    if number == 0:
        return ""
    if number >= MAX_COUNTED:
        return sentence(
            _("It waits for %(number)s more runs or more after that."), number=str(number)
        )
    return counted(
        number,
        _("It waits for %(number)s more run after that."),
        _("It waits for %(number)s more runs after that."),
    )


def _why_parked(store: Store, edges: list[Edge]) -> Sentence:
    pause = store.pauses.in_force().filter(id__in=[edge.after for edge in edges]).first()
    if pause is None:
        return sentence(_("The pause of its task has ended, and it becomes ready in a moment."))
    return _paused(pause)


def _what_it_follows(store: Store, edge: Edge) -> Sentence:
    """Return what an edge leads to, what that is to do, and what has become of it."""
    workflow = store.workflows.filter(id=edge.after).first()
    state = store.states_of({edge.after}).get(edge.after)
    fate = sentence(_("does not exist"))
    if state is not None:
        fate = _what_it_does(store, edge, state)
        if state in FINISHED and not edge.any_end and state != RunState.SUCCESSFUL:
            fate = sentence(_("%(fate)s: retry that one, or cancel this one"), fate=fate)
    return sentence(_wanted_of(edge), what=_named(workflow), id=str(edge.after), fate=fate)


def _wanted_of(edge: Edge) -> str:
    if edge.any_end:
        return _("%(what)s %(id)s to end, which %(fate)s")
    if edge.only_failed:
        return _("%(what)s %(id)s to fail, which %(fate)s")
    return _("%(what)s %(id)s to succeed, which %(fate)s")


def _what_it_does(store: Store, edge: Edge, state: str) -> Sentence:
    before = store.runs.filter(id=edge.after).first()
    if before is None and state not in FINISHED:
        return sentence(_("has not ended"))  # a workflow
    if before and before.is_parked:
        return sentence(_("waits for the end of its task's pause"))
    if state in IN_WORDS:
        return sentence(IN_WORDS[state])
    return sentence(_("is %(state)s"), state=repr(state))


def _named(workflow: Workflow | None) -> Sentence:
    if workflow is None:
        return sentence(_("the run"))
    kind = _("the group %(name)s") if workflow.kind == Kind.GROUP else _("the workflow %(name)s")
    return sentence(kind, name=repr(workflow.name))


def _why_scheduled(store: Store, run: TaskRun) -> Sentence:
    at = moment_in_words(run.available_at)
    if run.missing_since:
        return sentence(
            _("Its task could not be imported; that is tried again at %(time)s."), time=at
        )
    if what := steps_shown.suspended(store, run):
        return what
    if run.failures:
        return sentence(_("It waits for its next attempt, at %(time)s."), time=at)
    return sentence(_("It is due at %(time)s."), time=at)


def _why_ready(store: Store, run: TaskRun) -> Sentence:
    if of_pause := _of_pause(store, run):
        return of_pause
    if unattended := _why_unattended(store, run):
        return unattended
    if run.expires_at and run.expires_at <= store.read_clock():
        return sentence(_("It has expired, and fails when a worker comes to it."))
    if run.limit_name is not None:
        return _why_limited(store, run)
    in_queue = store.runs.ready().unlimited()
    return sentence(
        _("It is ready, with %(front)s in front of it in its queue."),
        front=_in_front(store, in_queue, run),
    )


def _why_limited(store: Store, run: TaskRun) -> Sentence:
    limit = store.limits.filter(name=run.limit_name).first()
    numbers = limit.in_force if limit else {}
    in_lane = store.runs.ready().limited().filter(limit_name=run.limit_name, lane=run.lane)
    lane, front = _lane(run), _in_front(store, in_lane, run)
    for name, number, in_hand in (
        (lane, numbers.get("at_once"), store.slots_in_use(str(run.limit_name), run.lane)),
        (run.limit_name, numbers.get("total"), store.slots_in_use(str(run.limit_name))),
    ):
        if number is not None and in_hand >= number:
            return sentence(
                _(
                    "It is limited by %(name)s: %(in_hand)s of %(number)s in hand, %(front)s in "
                    "front of it."
                ),
                name=name,
                in_hand=in_hand,
                number=number,
                front=front,
            )
    if limit and (closed := closed_until(store, limit, str(run.lane))):
        name = run.limit_name if closed.is_total else lane
        known = {"name": name, "time": moment_in_words(closed.until), "front": front}
        if closed.rate is None:
            held = _("It is limited by %(name)s: held until %(time)s, %(front)s in front of it.")
            return sentence(held, **known)
        rated = _(
            "It is limited by %(name)s: rated until %(time)s (%(rate)s), %(front)s in front of it."
        )
        return sentence(rated, **known, rate=str(closed.rate))
    return sentence(
        _("It is ready, with %(front)s in front of it in %(lane)s."), front=front, lane=lane
    )


def _lane(run: TaskRun) -> str:
    return f"{run.limit_name}" if run.lane == OF_ALL else f"{run.limit_name}/{run.lane}"


def _of_pause(store: Store, run: TaskRun) -> Sentence | None:
    scopes = scopes_of(run)
    pauses = store.pauses.in_force().of(*scopes)
    pause = min(pauses, key=lambda one: scopes.index(one.scope), default=None)
    return _paused(pause) if pause else None


def _paused(pause: Pause) -> Sentence:
    scope = pause.scope._replace(backend="") if pause.kind == QUEUE else pause.scope
    return sentence(_("Its %(what)s is %(paused)s"), what=scope.in_words, paused=pause.in_words)


def _why_unattended(store: Store, run: TaskRun) -> Sentence | None:
    heard = [*store.workers.heard().filter(asked_to="")]
    of_queue = [one for one in heard if one.backend == run.backend and one.takes(run.queue_name)]
    if not heard:
        return sentence(_("No worker is running."))
    queue = repr(run.queue_name)
    if not of_queue:
        return sentence(
            _("No worker that is running takes the queue %(queue)s of %(backend)s."),
            queue=queue,
            backend=repr(run.backend),
        )
    if not any(one.takes(run.queue_name, run.executor) for one in of_queue):
        return sentence(
            _("No worker of its queue %(queue)s has slots for %(executor)s."),
            queue=queue,
            executor=repr(run.executor),
        )
    return None


def _in_front(store: Store, runs: TaskRunQuerySet, run: TaskRun) -> Sentence:
    """Return how many of these runs are claimed before it, of those that compete for a slot."""
    lane = runs.filter(backend=run.backend, queue_name=run.queue_name, executor=run.executor)
    same_rank = lane.filter(rank=run.rank)
    first = [
        lane.filter(rank__lt=run.rank),
        same_rank.filter(available_at__lt=run.available_at),
        same_rank.filter(available_at=run.available_at, id__lt=run.id),
    ]
    count = sum(store.count_each(*(some[:MAX_COUNTED] for some in first)))
    if count >= MAX_COUNTED:
        return sentence(_("%(number)s runs or more"), number=str(MAX_COUNTED))
    if count == 0:
        return sentence(_("no runs"))
    return counted(count, _("%(number)s run"), _("%(number)s runs"))
