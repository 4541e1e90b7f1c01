"""Workers heed pauses: what they claim, and what they give back."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, connection

from taskworks import TaskResult, task_backends
from taskworks.actions.pausing import HEEDED_WITHIN
from taskworks.control import pause, resume
from taskworks.models import Edge, Pause, TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import Store, store
from taskworks.store.limiting import Line
from taskworks.worker import Options, Queues, Sizes, Worker
from taskworks.worker.claiming import intake as module
from taskworks.worker.claiming import poll_schedule
from taskworks.worker.claiming.intake import SURVEY_INTERVAL, Intake
from tests import limited, rated, tasks
from tests.clocks import Clock
from tests.connections import begin_elsewhere, elsewhere
from tests.waiting import wait_for
from tests.worker.claiming.idleness import StartWorker, idle, wait_until_executed

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"thread": 1}
MANY = {"thread": 9}
mail = tasks.noop.using(queue_name="mail")


class WakeUps:
    """As of a worker that is notified: of these queues, with the next look."""

    works = misses_nothing = True

    def __init__(self) -> None:
        self.news: set[str | None] = set()

    def take(self) -> set[str | None]:
        taken, self.news = self.news, set()
        return taken


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for looked_at in (module, poll_schedule):
        monkeypatch.setattr(looked_at, "time", clock)
    return clock


@pytest.fixture
def wake_ups() -> WakeUps:
    return WakeUps()


@pytest.fixture
def intake(clock: Clock, wake_ups: WakeUps) -> Intake:
    return Intake(store(), "default", Queues(), 600.0, wake_ups)  # type: ignore[arg-type]


@pytest.fixture
def worker() -> UUID:
    row = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


def states(*results: TaskResult) -> list[str]:
    return [TaskRun.objects.get(id=result.id).state for result in results]


def wakened(intake: Intake, wake_ups: WakeUps, *news: str | None) -> None:
    wake_ups.news = {*news}
    intake.room_due(MANY)


# What is claimed.


def test_a_claim_uses_no_older_look_than_the_promise_allows(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    for _ in range(9):
        mail.enqueue()
    assert len(intake.claim(worker, ONE, None)) == 1
    pause("mail")
    clock.now += SURVEY_INTERVAL * 0.99
    assert len(intake.claim(worker, ONE, None)) == 1  # by the look before the pause
    clock.now += SURVEY_INTERVAL * 0.01
    assert intake.claim(worker, ONE, None) == []
    assert SURVEY_INTERVAL <= HEEDED_WITHIN * 0.75  # which leaves room for a turn of the loop


def test_other_queues_and_other_backends_go_on(intake: Intake, worker: UUID) -> None:
    pause("mail")
    pause("default", backend="other")
    mail.enqueue()
    ours, other = tasks.noop.enqueue(), tasks.noop.using(backend="other").enqueue()
    assert [str(run.id) for run in intake.claim(worker, MANY, None)] == [ours.id]
    others = Intake(store(), "other", Queues(), 600.0, WakeUps())  # type: ignore[arg-type]
    assert others.claim(worker, MANY, None) == []
    resume("default", backend="other")
    assert [str(run.id) for run in others.claim(worker, MANY, None)] == [other.id]


@pytest.mark.parametrize("name", ["it's", "100%", '"q"', "%(name)s", "päus 📨", "n" * 128])
def test_a_name_may_have_any_character(worker: UUID, name: str) -> None:
    others = Intake(store(), "other", Queues(), 600.0, WakeUps())  # type: ignore[arg-type]
    tasks.noop.using(backend="other", queue_name=name).enqueue()
    pause(name, backend="other")
    assert others.claim(worker, MANY, None) == []
    resume(name, backend="other")
    assert len(others.claim(worker, MANY, None)) == 1


def test_names_are_compared_by_their_spelling(worker: UUID) -> None:
    others = Intake(store(), "other", Queues(), 600.0, WakeUps())  # type: ignore[arg-type]
    tasks.noop.using(backend="other", queue_name="mail").enqueue()
    for alike in ("Mail", "mäil"):
        pause(alike, backend="other")
    assert len(others.claim(worker, MANY, None)) == 1


def test_a_named_queue_is_not_claimed_from_if_it_is_paused(
    intake: Intake, worker: UUID, wake_ups: WakeUps
) -> None:
    """A notified worker claims from the named queue without another look."""
    assert intake.claim(worker, MANY, None) == []
    pause("mail")
    wakened(intake, wake_ups, None)  # which the pause sends
    assert intake.claim(worker, MANY, None) == []
    mail.enqueue()
    wakened(intake, wake_ups, "mail")
    assert intake.claim(worker, MANY, None) == []


def test_news_of_a_pause_and_of_its_queue_may_come_together(
    intake: Intake, worker: UUID, wake_ups: WakeUps
) -> None:
    assert intake.claim(worker, MANY, None) == []
    pause("mail")
    mail.enqueue()
    wakened(intake, wake_ups, None, "mail")
    assert intake.claim(worker, MANY, None) == []


def test_who_has_just_started_looks_before_it_believes_a_name(
    intake: Intake, worker: UUID, wake_ups: WakeUps
) -> None:
    pause("mail")
    mail.enqueue()
    wakened(intake, wake_ups, "mail")
    assert intake.claim(worker, MANY, None) == []


def test_a_look_that_fails_is_made_up_for_before_a_name_is_believed(
    intake: Intake, worker: UUID, wake_ups: WakeUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert intake.claim(worker, MANY, None) == []
    pause("mail")
    mail.enqueue()
    wakened(intake, wake_ups, None)
    with monkeypatch.context() as broken:
        broken.setattr(Store, "outlook", failing)
        broken.setattr(type(store()), "outlook", failing)
        with pytest.raises(DatabaseError):
            intake.claim(worker, MANY, None)
    wakened(intake, wake_ups, "mail")
    assert intake.claim(worker, MANY, None) == []


def failing(self: Store, *given: Any) -> Any:
    raise DatabaseError("an outage")


def test_a_worker_looks_again_when_a_pause_ends(intake: Intake, worker: UUID, clock: Clock) -> None:
    mail.enqueue()
    pause("mail")
    Pause.objects.update(until=store().read_clock() + timedelta(seconds=30))
    while intake.room_due(MANY):  # until it looks no more on its own for ten minutes
        assert intake.claim(worker, MANY, None) == []
        clock.now += intake.seconds(MANY) if intake.seconds(MANY) < 1 else 0
    assert 20 < intake.seconds(MANY) <= 30
    Pause.objects.update(until=store().read_clock())
    clock.now += 30
    assert intake.room_due(MANY) == MANY
    assert len(intake.claim(worker, MANY, None)) == 1


# What is given back.


@pytest.fixture
def busy_worker() -> Iterator[Worker]:
    """One that does not turn by itself, and has one slot."""
    tasks.gate.clear()
    sizes = Sizes(threads=1, async_slots=0, task_processes=0)
    worker = Worker(task_backends["default"], Options(queues=Queues(), sizes=sizes))
    worker._registration.begin()
    yield worker
    tasks.gate.set()
    worker._pools.close()
    worker._leave()


def claimed_by(worker: Worker) -> list[TaskRun]:
    return store().claim(worker.id, "default", ["default", "mail"], MANY)


def test_what_waits_in_a_worker_is_given_back_in_its_old_place(busy_worker: Worker) -> None:
    busy = tasks.wait_for_gate.enqueue()
    waiting = mail.enqueue()
    place = TaskRun.objects.get(id=waiting.id).available_at
    busy_worker._submit(claimed_by(busy_worker))
    wait_for(lambda: any(a.began for a in busy_worker._in_hand.unsettled), "one has begun")
    pause("mail")
    busy_worker._intake._known_at = float("-inf")  # as if it had been busy for long
    busy_worker._heed_pauses()
    busy_worker._ledger._write_all_settled()
    assert states(busy, waiting) == ["claimed", "ready"]
    run = TaskRun.objects.get(id=waiting.id)
    assert (run.available_at, run.attempts, run.worker_ids) == (place, 0, [])


def test_a_worker_without_room_looks_only_while_something_waits_in_it(
    busy_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = tasks.wait_for_gate.enqueue()
    busy_worker._submit(claimed_by(busy_worker))
    [attempt] = busy_worker._in_hand.unsettled
    wait_for(lambda: attempt.began, f"{busy.id} has begun")
    monkeypatch.setattr(type(store()), "outlook", failing)
    busy_worker._intake._known_at = float("-inf")
    busy_worker._heed_pauses()


def test_what_was_claimed_while_its_queue_was_paused_does_not_begin(
    busy_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on SQLite, where a claim waits for the lock with which the pause is written."""
    tasks.gate.set()
    waiting, other = mail.enqueue(), tasks.noop.enqueue()
    intake = busy_worker._intake
    claim = Store.claim

    def held_up(self: Store, *given: Any, **options: Any) -> list[TaskRun]:
        elsewhere(lambda: pause("mail"))
        intake._known_at = float("-inf")
        return claim(self, *given, **options)

    monkeypatch.setattr(Store, "claim", held_up)
    runs = intake.claim(busy_worker.id, MANY, None)
    assert len(runs) == 2
    busy_worker._submit(runs)
    wait_for(lambda: not busy_worker._inbox._messages.empty(), "the other one has ended")
    busy_worker._wait(0)
    busy_worker._ledger._write_all_settled()
    assert states(waiting, other) == ["ready", "successful"]


@pytest.mark.parametrize("key", ["acme", "globex"])
def test_what_waits_of_a_key_is_given_back_once_a_task_has_closed_it(
    busy_worker: Worker, key: str
) -> None:
    holding = rated.be_told_to_wait.enqueue("acme", "an hour")
    line = Line("held", "default", ("default",), "thread")
    runs = store().claim_limited(busy_worker.id, line, 1).runs
    busy, waiting = tasks.wait_for_gate.enqueue(), rated.be_told_to_wait.enqueue(key)
    runs += claimed_by(busy_worker) + store().claim_limited(busy_worker.id, line, 9).runs
    busy_worker._submit(runs)
    wait_for(lambda: not busy_worker._inbox._messages.empty(), "the key is held")
    busy_worker._wait(0)
    for _ in range(2):
        busy_worker._ledger._write_all_settled()
        busy_worker._heed_pauses()
    assert states(holding, busy) == ["scheduled", "claimed"]
    assert states(waiting) == ["ready" if key == "acme" else "claimed"]


# A worker at work.


def test_nothing_begins_after_the_pause_and_everything_after_it_is_resumed(
    start_worker: StartWorker,
) -> None:
    for _ in range(2):
        start_worker(interval=0.05)
    enqueued = threading.Event()

    def enqueue_more() -> None:
        while not enqueued.wait(0.01):
            if TaskRun.objects.ready().filter(queue_name="default").count() < 20:
                mail.enqueue_many([()] * 20)
                tasks.noop.enqueue_many([()] * 5)

    enqueueing = begin_elsewhere(enqueue_more)
    try:
        done = TaskRun.objects.successful()
        wait_for(lambda: done.filter(queue_name="mail").exists(), "mail is sent")
        pause("mail", wait=True, timeout=60)
        sent = done.filter(queue_name="mail").count()
        others = done.filter(queue_name="default").count()
        wait_for(
            lambda: done.filter(queue_name="default").count() > others + 20, "the others go on"
        )
        assert not TaskRun.objects.in_hand().filter(queue_name="mail").exists()
        assert done.filter(queue_name="mail").count() == sent
        assert not TaskRun.objects.filter(queue_name="mail", state="failed").exists()
    finally:
        enqueued.set()
        enqueueing.result(timeout=60)
    resume("mail")
    wait_for(lambda: not TaskRun.objects.exclude(state="successful").exists(), "all are executed")


# Tasks, limits and keys.


def test_what_waits_in_a_worker_is_parked_once_its_task_is_paused(busy_worker: Worker) -> None:
    busy = tasks.wait_for_gate.enqueue()
    waiting, other = mail.enqueue(), tasks.add.enqueue(1, 2)
    place = TaskRun.objects.get(id=waiting.id).available_at
    busy_worker._submit(claimed_by(busy_worker))
    wait_for(lambda: any(a.began for a in busy_worker._in_hand.unsettled), "one has begun")
    pause(task=tasks.noop)
    busy_worker._intake._known_at = float("-inf")  # as if it had been busy for long
    busy_worker._heed_pauses()
    busy_worker._ledger._write_all_settled()
    assert states(busy, waiting, other) == ["claimed", "blocked", "ready"]
    run = TaskRun.objects.get(id=waiting.id)
    assert (run.available_at, run.attempts, run.worker_ids) == (place, 0, [])


def test_what_was_claimed_of_what_is_paused_by_now_does_not_begin(busy_worker: Worker) -> None:
    tasks.gate.set()
    waiting, imported = mail.enqueue(), limited.import_file.enqueue("acme")
    another = limited.import_file.enqueue("globex")
    line = Line("intake", "default", ("default",), "thread")
    runs = claimed_by(busy_worker) + store().claim_limited(busy_worker.id, line, 9).runs
    assert len(runs) == 3
    pause(task=tasks.noop)
    pause(limit="intake", key="acme")
    busy_worker._intake.has_new_pause(look=True)
    busy_worker._submit(runs)
    wait_for(lambda: not busy_worker._inbox._messages.empty(), "the other one has ended")
    busy_worker._wait(0)
    busy_worker._ledger._write_all_settled()
    assert states(waiting, imported, another) == ["blocked", "ready", "successful"]


def test_a_row_that_cannot_be_read_is_no_less_refused_while_its_task_is_paused(
    busy_worker: Worker,
) -> None:
    result = mail.enqueue()
    TaskRun.objects.update(worker_ids="nonsense")
    pause(task=tasks.noop)
    busy_worker._intake.has_new_pause(look=True)
    busy_worker._submit(claimed_by(busy_worker))
    busy_worker._ledger._write_all_settled()
    assert states(result) == ["failed"]


@pytest.mark.parametrize("key", [None, "acme"])
def test_what_is_paused_of_a_limit_costs_no_claim_once_it_is_known(
    intake: Intake, worker: UUID, clock: Clock, key: str | None
) -> None:
    imported, other = limited.import_file.enqueue("acme"), limited.send.enqueue("ada")
    pause(limit="intake", **({"key": key} if key else {}))
    claimed: list[Line] = []
    claim = Store.claim_limited
    with pytest.MonkeyPatch.context() as noted:
        noted.setattr(
            Store,
            "claim_limited",
            lambda self, worker, line, *numbers: (
                claimed.append(line) or claim(self, worker, line, *numbers)
            ),
        )
        runs = intake.claim(worker, MANY, None)
        clock.now += 1
        runs += intake.claim(worker, MANY, None)
    assert [str(run.id) for run in runs] == [other.id]
    assert ("intake" in {line.limit for line in claimed}) == bool(key)
    resume(limit="intake", **({"key": key} if key else {}))
    clock.now += 1
    runs = intake.claim(worker, MANY, None) + intake.claim(worker, MANY, None)
    assert [str(run.id) for run in runs] == [imported.id]


def test_a_limit_that_is_paused_keeps_no_executor_from_claiming_ahead(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    limited.import_file.enqueue("acme")
    pause(limit="intake")
    intake.claim(worker, MANY, None)
    assert intake.not_ahead == frozenset()


def test_a_worker_notes_a_pause_of_a_task_that_has_ended(
    intake: Intake, worker: UUID, clock: Clock
) -> None:
    pause("mail")
    paused = pause(task=tasks.noop)
    intake.claim(worker, MANY, None)
    assert intake.take_resumed() == set()
    resume("mail")
    resume(task=tasks.noop)
    clock.now += 1
    intake.claim(worker, MANY, None)
    assert intake.take_resumed() == {paused.id}
    assert intake.take_resumed() == set()


@pytest.mark.skipif(connection.vendor == "mysql", reason="It tells nobody.")
def test_an_idle_worker_parks_and_frees_at_once(start_worker: StartWorker, settings: Any) -> None:
    """Neither its heartbeat nor a look by itself comes within minutes."""
    settings.TASKWORKS = {"HEARTBEAT_INTERVAL": 600, "WORKER_TIMEOUT": 3600}
    idle(start_worker())
    paused = pause(task=tasks.noop)
    results = [mail.enqueue() for _ in range(3)]
    wait_for(lambda: states(*results) == ["blocked"] * 3, "they are parked")
    assert {*Edge.objects.values_list("after", flat=True)} == {paused.id}
    resume(task=tasks.noop)
    wait_until_executed(*results)


def test_nothing_of_a_task_begins_after_its_pause_and_everything_after_it_is_resumed(
    start_worker: StartWorker,
) -> None:
    for _ in range(2):
        start_worker(interval=0.05)
    tasks.noop.enqueue_many([()] * 300)
    tasks.add.enqueue_many([(1, 2)] * 300)
    noops = TaskRun.objects.filter(task_path="tests.tasks.noop")
    others = TaskRun.objects.filter(task_path="tests.tasks.add")
    wait_for(lambda: noops.filter(state="successful").exists(), "some have ended")
    pause(task=tasks.noop, wait=True, timeout=60)
    done = noops.filter(state="successful").count()
    wait_for(lambda: not others.exclude(state="successful").exists(), "the others go on")
    wait_for(lambda: not noops.filter(state__in=["ready", "claimed"]).exists(), "all wait")
    assert noops.filter(state="successful").count() == done
    assert noops.filter(state="blocked").count() == 300 - done
    resume(task=tasks.noop)
    wait_for(lambda: not TaskRun.objects.exclude(state="successful").exists(), "all are executed")
    assert TaskRun.objects.filter(attempts=1).count() == 600
    assert not Edge.objects.exists()


def test_a_task_that_is_paused_and_resumed_again_and_again_loses_no_run(
    start_worker: StartWorker,
) -> None:
    for _ in range(2):
        start_worker(interval=0.05)
    runs = TaskRun.objects.filter(task_path="tests.tasks.noop")
    for turn in range(6):
        pause(task=tasks.noop, until=timedelta(hours=1) if turn % 2 else None)
        tasks.noop.enqueue_many([()] * 40)
        # Within 0.2 seconds, workers that do not know of the pause may have taken all.
        wait_for(lambda: not runs.ready().exists(), "none is ready: they are parked, or taken")
        if turn % 3:
            resume(task=tasks.noop)
        else:
            Pause.objects.all().delete()
    wait_for(lambda: not runs.exclude(state="successful").exists(), "all are executed")
    assert runs.filter(attempts=1).count() == 240
    wait_for(lambda: not Edge.objects.exists(), "no edge is left")
