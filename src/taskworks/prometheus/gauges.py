"""Metrics of now: what waits in each queue, who takes it, and how schedules are."""

from collections.abc import Iterator, Sequence

import django
from prometheus_client.core import GaugeMetricFamily, Metric

from taskworks.models import RunState, Worker
from taskworks.prometheus.facts import Facts, Queue
from taskworks.prometheus.labels import QUEUE, Labels, clean
from taskworks.prometheus.latest import Reading
from taskworks.release import release, version

READY, IN_HAND = "ready", "in_hand"
STATE_OF = {
    RunState.BLOCKED: "blocked",
    RunState.SCHEDULED: "scheduled",
    RunState.CLAIMED: IN_HAND,
    RunState.RUNNING: IN_HAND,
}
STATES = ("blocked", "scheduled", READY, IN_HAND)


def gauges(facts: Facts | None) -> Iterator[Metric]:
    """Yield the gauges."""
    yield from _of_runs(facts)
    yield from _of_queues(facts)
    yield from _of_workers(facts)
    yield from _of_schedules(facts)
    yield _of_problems(facts)


def build_info(reading: Reading | None) -> Metric:
    """Return what this process runs; the database is "" until it has answered."""
    info = GaugeMetricFamily(
        "taskworks_build_info",
        "1, with the versions of what answers the scrape, and the release of the project.",
        labels=("version", "django", "database", "release"),
    )
    if reading:
        database = reading.facts.database if reading.facts else ""
        info.add_metric((version(), django.get_version(), database, release()), 1.0)
    return info


class _Gauge(GaugeMetricFamily):
    """A gauge that is given each combination of labels once, with the sum of its values."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        super().__init__(name, text, labels=labels)
        self._values: dict[Labels, float] = {}

    def add(self, labels: Sequence[str], value: float) -> None:
        """Add to a value, which is 0 at first."""
        key = clean(labels)
        self._values[key] = self._values.get(key, 0.0) + value

    def set_highest(self, labels: Sequence[str], value: float) -> None:
        """Raise a value to this one."""
        key = clean(labels)
        self._values[key] = max(self._values.get(key, 0.0), value)

    def filled(self) -> Metric:
        """Return the metric with all of them."""
        for labels, value in self._values.items():
            self.add_metric(labels, value)
        return self


def _of_runs(facts: Facts | None) -> Iterator[Metric]:
    runs = _Gauge(
        "taskworks_runs",
        "Runs that have not finished, by what they wait for: other runs or the end of a pause, "
        "their time, a worker, or their end.",
        (*QUEUE, "state"),
    )
    capped = _Gauge(
        "taskworks_runs_is_capped",
        "1 if there are more runs in a state than are counted, so that their numbers are too low.",
        ("state",),
    )
    if facts:
        for state in STATES:
            capped.add([state], 0.0)
            for queue in facts.queues:
                runs.add([*queue, state], 0.0)
        for backend, queue_name, state, number, is_capped in _counts(facts):
            runs.add([backend, queue_name, state], number)
            capped.set_highest([state], float(is_capped))
    yield from (runs.filled(), capped.filled())


def _counts(facts: Facts) -> Iterator[tuple[str, str, str, int, bool]]:
    """Yield the counts of the queues that are shown."""
    shown = {*facts.queues}
    for one in facts.ready:
        if (one.backend, one.queue_name) in shown:
            yield one.backend, one.queue_name, READY, one.ready, one.is_capped
    for row in facts.counted:
        if (row.backend, row.queue_name) in shown:
            yield row.backend, row.queue_name, STATE_OF[row.state], row.number, row.is_capped


def _of_queues(facts: Facts | None) -> Iterator[Metric]:
    oldest = _Gauge(
        "taskworks_oldest_ready_seconds",
        "For how long the oldest ready run of a queue has been ready; 0 if none is.",
        QUEUE,
    )
    objective = _Gauge(
        "taskworks_queue_objective_seconds",
        "Within how long an attempt is to begin, of queues that have an objective.",
        QUEUE,
    )
    paused = _Gauge("taskworks_queue_paused", "1 if the queue is paused.", QUEUE)
    attended = _Gauge("taskworks_queue_workers", "Living workers that take the queue.", QUEUE)
    if facts:
        shown = {*facts.queues}
        claiming = [worker for worker in facts.heard_workers if not worker.asked_to]
        for queue in facts.queues:
            oldest.add(queue, 0.0)
            paused.add(queue, float(queue in facts.paused))
            attended.add(queue, _number_of_takers(claiming, queue))
        for one in facts.ready:
            if (one.backend, one.queue_name) in shown:
                oldest.set_highest([one.backend, one.queue_name], one.waited.total_seconds())
        for queue, seconds in facts.objectives.items():
            objective.set_highest(queue, seconds)
    yield from (oldest.filled(), objective.filled(), paused.filled(), attended.filled())


def _number_of_takers(workers: Sequence[Worker], queue: Queue) -> int:
    backend, name = queue
    return sum(worker.backend == backend and worker.takes(name) for worker in workers)


def _of_workers(facts: Facts | None) -> Iterator[Metric]:
    number = _Gauge("taskworks_workers", "Living workers.", ["backend"])
    slots = _Gauge(
        "taskworks_worker_slots", "How many runs they execute at once at most.", ["backend"]
    )
    busy = _Gauge(
        "taskworks_worker_busy_slots",
        "How many of these were taken at the latest heartbeats.",
        ["backend"],
    )
    silence = _Gauge(
        "taskworks_worker_heartbeat_age_seconds",
        "The longest time since the latest heartbeat of a worker that was not given up.",
        ["backend"],
    )
    if facts:
        for backend in dict.fromkeys(backend for backend, _ in facts.queues):
            for gauge in (number, slots, busy, silence):
                gauge.add([backend], 0.0)
        for worker in facts.workers:
            silence.set_highest([worker.backend], facts.silence(worker))
        for worker in facts.heard_workers:
            number.add([worker.backend], 1.0)
            slots.add([worker.backend], worker.all_slots)
            busy.add([worker.backend], worker.busy)
    yield from (number.filled(), slots.filled(), busy.filled(), silence.filled())


def _of_schedules(facts: Facts | None) -> Iterator[Metric]:
    enabled = _Gauge("taskworks_schedule_enabled", "1 if the schedule is enabled.", ["schedule"])
    late = _Gauge(
        "taskworks_schedule_late_seconds",
        "For how long an enabled schedule has been due without firing; 0 if it is not due.",
        ["schedule"],
    )
    succeeded = _Gauge(
        "taskworks_schedule_last_success_timestamp_seconds",
        "When the latest successful run of the schedule finished, of its latest 20 that were kept.",
        ["schedule"],
    )
    for schedule in facts.schedules if facts else ():
        assert facts  # noqa: S101 - it has schedules
        enabled.set_highest([schedule.label], float(schedule.enabled))
        planned = schedule.next_run if schedule.enabled else None
        late.set_highest([schedule.label], facts.seconds_since(planned) if planned else 0.0)
        if at := facts.succeeded_at.get(schedule.pk):
            succeeded.set_highest([schedule.label], at)
    yield from (enabled.filled(), late.filled(), succeeded.filled())


def _of_problems(facts: Facts | None) -> Metric:
    problems = _Gauge(
        "taskworks_problems",
        "How many problems a rule of `manage.py taskworks health` finds; without a value if it "
        "could not be asked.",
        ["problem"],
    )
    for rule, number in facts.problems.items() if facts else ():
        problems.add([rule], number)
    return problems.filled()
