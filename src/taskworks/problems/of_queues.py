"""Queues whose runs are not begun, or not soon enough."""

from collections.abc import Iterator
from datetime import timedelta

from taskworks.conf import conf
from taskworks.durations import in_words
from taskworks.logs import visible
from taskworks.models.pause import QUEUE, Scope
from taskworks.options.objectives import objectives
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.statistics.attainment import attainment
from taskworks.store.surveying import QueueState

GRACE = timedelta(seconds=10)  # for which a queue may wait for a worker that is being restarted
OF_OBJECTIVES = timedelta(hours=1)  # of which the share is told
FEW = 20  # attempts, of which no share is told
MAX_TOLD = 20  # problems of one rule


def queue_without_worker(situation: Situation) -> Iterator[Problem]:
    """Find queues with runs that no living worker takes."""
    lonely = []
    for queue in situation.queues:
        if queue.waited < GRACE or situation.is_paused(queue):
            continue
        if not situation.attending(queue):
            lonely.append(queue)
            continue
        for executor in sorted(queue.executors):
            if not situation.attending(queue, executor):
                yield _without_slots(queue, executor)
    lonely.sort(key=lambda queue: queue.waited, reverse=True)
    for queue in lonely[:MAX_TOLD]:
        yield _without_worker(situation, queue)
    if (more := len(lonely) - MAX_TOLD) > 0:
        yield _more_without_worker(more)


def _without_worker(situation: Situation, queue: QueueState) -> Problem:
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        _named(queue),
        f"No living worker takes {_named(queue)}, in which {_ready(queue)}; the oldest has waited "
        f"{in_words(queue.waited)}.{_last_heard(situation, queue)}",
        f"Start a worker: manage.py taskworks worker{_options(queue)}",
    )


def _more_without_worker(more: int) -> Problem:
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        "other queues",
        f"No living worker takes {more:,} more queue{'' if more == 1 else 's'} with ready runs.",
        "List them: manage.py taskworks queues",
    )


def _without_slots(queue: QueueState, executor: str) -> Problem:
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        f"{_named(queue)}, executor {executor!r}",
        f"Runs of the executor {executor!r} wait in {_named(queue)}, and no living worker of that "
        f"queue has slots for them. In the queue, {_ready(queue)}.",
        "Start a worker with such slots: see its options --threads, --async-slots and "
        "--task-processes.",
    )


def _last_heard(situation: Situation, queue: QueueState) -> str:
    """Say who took the queue last, and when that worker was heard."""
    took = [
        one
        for one in situation.workers
        if one.worker.backend == queue.backend and one.worker.takes(queue.queue_name)
    ]
    if not took:
        return ""
    last = min(took, key=lambda one: one.silence)
    if last.worker.asked_to:
        return f" {visible(last.worker.label)} was asked to {last.worker.asked_to}."
    return f" {visible(last.worker.label)} was last heard {in_words(last.silence)} ago."


def oldest_beyond_objective(situation: Situation) -> Iterator[Problem]:
    """Find queues whose oldest run has waited for longer than their objective allows."""
    wanted = objectives()
    for queue in situation.queues:
        objective = wanted.get((queue.backend, queue.queue_name))
        if objective and queue.waited > objective.start_within and not situation.is_paused(queue):
            yield Problem(
                "oldest_beyond_objective",
                Severity.CRITICAL,
                _named(queue),
                f"The oldest ready run of {_named(queue)} has waited {in_words(queue.waited)}; the "
                f"objective is to begin within {in_words(objective.start_within)}. In the queue, "
                f"{_ready(queue)}.",
                "Start more workers for the queue, or give them more slots; 'manage.py taskworks "
                "queues' says how many would hold it.",
            )


def objective_missed(situation: Situation) -> Iterator[Problem]:
    """Find queues in which too few attempts have begun soon enough in the last hour."""
    if not conf().statistics:
        return
    for (backend, name), objective in objectives().items():
        attained = attainment(
            situation.store, objective, OF_OBJECTIVES, backend=backend, queue_name=name
        )
        if attained.attempts < FEW or not attained.is_missed:
            continue
        queue = _named(QueueState(backend, name))
        yield Problem(
            "objective_missed",
            Severity.WARNING,
            queue,
            f"Of {attained.attempts:,} attempts in {queue} in the last hour, {attained.share:.1%} "
            f"began within {in_words(objective.start_within)}; the objective is "
            f"{objective.share:.1%}.",
            "Start more workers for the queue, or give them more slots.",
        )


def paused(situation: Situation) -> Iterator[Problem]:
    """Tell what is paused, by whom and why."""
    ready = {(queue.backend, queue.queue_name): queue for queue in situation.queues}
    for pause in situation.pauses[:MAX_TOLD]:
        queue = ready.get((pause.backend, pause.name)) if pause.kind == QUEUE else None
        since = in_words(max(situation.now - pause.at, timedelta()))
        wait = f" Meanwhile {_ready(queue)} in it." if queue else ""
        yield Problem(
            "paused",
            Severity.NOTICE,
            f"the {pause.scope}",
            f"The {pause.scope} is {pause.in_words} It was paused {since} ago.{wait}",
            f"Resume it once that is over: manage.py taskworks resume {_target(pause.scope)}",
        )


def _named(queue: QueueState) -> str:
    name = f"the queue {queue.queue_name!r}"
    return name if queue.backend == "default" else f"{name} of the backend {queue.backend!r}"


def _ready(queue: QueueState) -> str:
    return f"{queue.ready_in_words} run{' is' if queue.ready == 1 else 's are'} ready"


def _options(queue: QueueState) -> str:
    backend = "" if queue.backend == "default" else f" --backend {queue.backend}"
    return f"{backend} --queues {queue.queue_name}"


def _target(scope: Scope) -> str:
    if scope.kind == QUEUE:
        backend = "" if scope.backend == "default" else f" --backend {scope.backend}"
        return f"{scope.name}{backend}"
    key = f" --key {scope.key}" if scope.key else ""
    return f"--{scope.kind} {scope.name}{key}"
