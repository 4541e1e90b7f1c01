"""What the metrics say, as it is read from the database: each part at a cost that has a bound."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from taskworks.backends.shards import backends_here
from taskworks.conf import conf
from taskworks.database.clock import as_aware
from taskworks.database.time_limit import reading_at_most
from taskworks.models import RunState, Schedule, Worker
from taskworks.models.pause import QUEUE
from taskworks.options.objectives import objectives
from taskworks.problems import RULES, look
from taskworks.problems.situation import Situation
from taskworks.statistics import reading
from taskworks.statistics.reading import Key
from taskworks.statistics.tally import Tally
from taskworks.store import Store, alias_for
from taskworks.store.counting import Counted
from taskworks.store.surveying import QueueState

TIME_LIMIT = 5.0  # seconds that a statement may take
MAX_QUEUES = 500  # of which what waits is shown, besides those that TASKS names
MAX_WORKERS = 5000
MAX_SCHEDULES = 200
WAITING = (RunState.BLOCKED, RunState.SCHEDULED, RunState.CLAIMED, RunState.RUNNING)

Queue = tuple[str, str]  # backend and name


class Facts(NamedTuple):
    """What was read, at a moment of the database's clock."""

    at: datetime
    totals: Mapping[Key, Tally]
    queues: Sequence[Queue]  # those of which what waits is shown
    ready: Sequence[QueueState]
    counted: Sequence[Counted]  # what is neither ready nor finished
    paused: Collection[Queue]
    workers: Sequence[Worker]  # that were not given up
    schedules: Sequence[Schedule]
    succeeded_at: Mapping[int, float]  # the Unix time of a schedule's latest successful run
    objectives: Mapping[Queue, float]  # seconds within which a run is to begin
    problems: Mapping[str, int]  # how many each rule finds that could be asked
    database: str

    @property
    def heard_workers(self) -> list[Worker]:
        """The workers that have sent a heartbeat recently."""
        return [worker for worker in self.workers if self.silence(worker) <= conf().worker_timeout]

    def silence(self, worker: Worker) -> float:
        """Return the seconds since the worker's latest heartbeat."""
        return self.seconds_since(worker.heartbeat_at)

    def seconds_since(self, moment: datetime) -> float:
        """Return the seconds since a moment; 0 if it is to come, or a clock was set back."""
        return max(0.0, (as_aware(self.at) - as_aware(moment)).total_seconds())


def read_facts(store: Store) -> Facts:
    """Read everything; raise a ``django.db.Error``, or TookTooLong."""
    situation = Situation(store)
    facts = _read(store, situation)
    return facts._replace(problems=_problems(situation))  # which has limits of its own


def _read(store: Store, situation: Situation) -> Facts:
    """Read all but the problems, whose rules find in the situation what is read here."""
    with reading_at_most(store.alias, TIME_LIMIT):
        totals = reading.totals(store)
        ready = situation.queues
        counted = [row for state in WAITING for row in store.count_by_queue(state)]
        paused = _paused_queues(store)
        schedules = [*store.schedules.order_by("id")[:MAX_SCHEDULES]]
        return Facts(
            at=situation.now,
            totals=totals,
            queues=_queues(store.alias, ready, counted, paused, totals),
            ready=ready,
            counted=counted,
            paused=paused,
            workers=[*store.workers.living().order_by("id")[:MAX_WORKERS]],
            schedules=schedules,
            succeeded_at=store.latest_successes([schedule.pk for schedule in schedules]),
            objectives=_objectives(store.alias),
            problems={},
            database=store.connection.vendor,
        )


def _problems(situation: Situation) -> dict[str, int]:
    """Return how many problems there are by the id of the rule that finds them."""
    findings = look(situation.store, situation=situation)
    numbers = Counter(problem.id for problem in findings.problems)
    unknown = {one.id for one in findings.unknown}
    asked = {rule.id for rule in RULES if not rule.is_thorough} - unknown
    return {rule: numbers[rule] for rule in sorted(asked)}


def _objectives(alias: str) -> dict[Queue, float]:
    return {
        queue: one.start_within.total_seconds()
        for queue, one in objectives().items()
        if alias_for(queue[0]) == alias
    }


def _paused_queues(store: Store) -> set[Queue]:
    pauses = store.pauses.in_force().filter(kind=QUEUE).order_by("backend", "name")
    return {*pauses.values_list("backend", "name")[:MAX_QUEUES]}


def _queues(
    alias: str,
    ready: Sequence[QueueState],
    counted: Sequence[Counted],
    paused: Collection[Queue],
    totals: Mapping[Key, Tally],
) -> list[Queue]:
    """
    Return the queues of a database to show: those that TASKS names, and MAX_QUEUES others, of which
    those that have runs come first. So a queue that was emptied is shown as empty.
    """
    in_tasks = ((one.alias, name) for one in backends_here() for name in one.queues)
    named = dict.fromkeys([*in_tasks, *_objectives(alias)])
    with_ready = [(one.backend, one.queue_name) for one in ready]
    with_others = [(one.backend, one.queue_name) for one in counted]
    counted_once = {(key.backend, key.queue_name) for key in totals}
    known = [*with_ready, *with_others, *sorted(paused), *sorted(counted_once)]
    others = [queue for queue in dict.fromkeys(known) if queue not in named]
    return [*named, *others[:MAX_QUEUES]]
