"""Queues whose runs are not begun, or not soon enough."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.utils.translation import gettext_noop as _

from taskworks.backends.database import DatabaseBackend
from taskworks.conf import conf
from taskworks.framework import task_backends
from taskworks.logs import visible
from taskworks.models.pause import QUEUE, Scope
from taskworks.options.objectives import objectives
from taskworks.problems.problem import Problem, Severity
from taskworks.problems.situation import Situation
from taskworks.sentences import Sentence, counted, joined, sentence
from taskworks.statistics.attainment import attainment
from taskworks.store import alias_for
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
    if (home := alias_for(queue.backend)) != situation.store.alias:
        return _left_behind(situation, queue, home)
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        _named(queue),
        joined(
            sentence(
                _(
                    "No living worker takes %(queue)s, in which %(ready)s; the oldest has waited "
                    "%(waited)s."
                ),
                queue=_named(queue),
                ready=_ready(queue),
                waited=queue.waited,
            ),
            _last_heard(situation, queue),
        ),
        sentence(
            _("Start a worker: %(command)s"),
            command=_how_to_start(queue),
        ),
    )


def _left_behind(situation: Situation, queue: QueueState, home: str) -> Problem:
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        _named(queue),
        sentence(
            _(
                "In %(queue)s in the database %(here)s, %(ready)s, and workers look for them in "
                "%(home)s, where TASKS says that the runs of this backend are."
            ),
            queue=_named(queue),
            here=repr(situation.store.alias),
            ready=_ready(queue),
            home=repr(home),
        ),
        sentence(
            _(
                "Have a backend with another name execute them, or set %(option)s of %(backend)s "
                "back to %(here)s until they have ended."
            ),
            option="OPTIONS['DATABASE']",
            backend=repr(queue.backend),
            here=repr(situation.store.alias),
        ),
    )


def _more_without_worker(more: int) -> Problem:
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        sentence(_("other queues")),
        counted(
            more,
            _("No living worker takes %(number)s more queue with ready runs."),
            _("No living worker takes %(number)s more queues with ready runs."),
        ),
        sentence(_("List them: %(command)s"), command="manage.py taskworks queues"),
    )


def _without_slots(queue: QueueState, executor: str) -> Problem:
    return Problem(
        "queue_without_worker",
        Severity.CRITICAL,
        sentence(
            _("%(queue)s, executor %(executor)s"), queue=_named(queue), executor=repr(executor)
        ),
        sentence(
            _(
                "Runs of the executor %(executor)s wait in %(queue)s, and no living worker of that "
                "queue has slots for them. In the queue, %(ready)s."
            ),
            executor=repr(executor),
            queue=_named(queue),
            ready=_ready(queue),
        ),
        sentence(
            _(
                "Start a worker with such slots: see its options --threads, --async-slots and "
                "--task-processes."
            )
        ),
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
        return sentence(
            _("%(worker)s was asked to %(what)s."),
            worker=visible(last.worker.label),
            what=last.worker.asked_to,
        )
    return sentence(
        _("%(worker)s was last heard %(silence)s ago."),
        worker=visible(last.worker.label),
        silence=last.silence,
    )


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
                sentence(
                    _(
                        "The oldest ready run of %(queue)s has waited %(waited)s; the objective is "
                        "to begin within %(within)s. In the queue, %(ready)s."
                    ),
                    queue=_named(queue),
                    waited=queue.waited,
                    within=objective.start_within,
                    ready=_ready(queue),
                ),
                sentence(
                    _(
                        "Start more workers for the queue, or give them more slots; %(command)s "
                        "says how many would hold it."
                    ),
                    command="'manage.py taskworks queues'",
                ),
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
            sentence(
                _(
                    "Of %(number)s attempts in %(queue)s in the last hour, %(share)s began within "
                    "%(within)s; the objective is %(objective)s."
                ),
                number=attained.attempts,
                queue=queue,
                share=f"{attained.share:.1%}",
                within=objective.start_within,
                objective=f"{objective.share:.1%}",
            ),
            sentence(_("Start more workers for the queue, or give them more slots.")),
        )


def paused(situation: Situation) -> Iterator[Problem]:
    """Tell what is paused, by whom and why."""
    ready = {(queue.backend, queue.queue_name): queue for queue in situation.queues}
    for pause in situation.pauses[:MAX_TOLD]:
        queue = ready.get((pause.backend, pause.name)) if pause.kind == QUEUE else None
        wait = sentence(_("Meanwhile %(ready)s in it."), ready=_ready(queue)) if queue else ""
        yield Problem(
            "paused",
            Severity.NOTICE,
            pause.scope.named,
            joined(
                sentence(
                    _("The %(scope)s is %(paused)s It was paused %(since)s ago."),
                    scope=pause.scope.in_words,
                    paused=pause.in_words,
                    since=max(situation.now - pause.at, timedelta()),
                ),
                wait,
            ),
            sentence(
                _("Resume it once that is over: %(command)s"),
                command=f"manage.py taskworks resume {_target(pause.scope)}",
            ),
        )


def _named(queue: QueueState) -> Sentence:
    name = repr(queue.queue_name)
    if queue.backend == "default":
        return sentence(_("the queue %(name)s"), name=name)
    return sentence(
        _("the queue %(name)s of the backend %(backend)s"), name=name, backend=repr(queue.backend)
    )


def _ready(queue: QueueState) -> Sentence:
    if queue.is_capped:
        return sentence(_("%(number)s or more runs are ready"), number=queue.ready)
    return counted(queue.ready, _("%(number)s run is ready"), _("%(number)s runs are ready"))


def _how_to_start(queue: QueueState) -> str:
    """Return the command that starts a worker for it; ours also takes runs of a former backend."""
    with suppress(Exception):  # a project's backend may raise anything, and hides no problem so
        backend = task_backends[queue.backend]
        if isinstance(backend, DatabaseBackend):
            return backend.command_of_a_worker(queue.queue_name)
    return f"manage.py taskworks worker --backend {queue.backend} --queues {queue.queue_name}"


def _target(scope: Scope) -> str:
    if scope.kind == QUEUE:
        backend = "" if scope.backend == "default" else f" --backend {scope.backend}"
        return f"{scope.name}{backend}"
    key = f" --key {scope.key}" if scope.key else ""
    return f"--{scope.kind} {scope.name}{key}"
