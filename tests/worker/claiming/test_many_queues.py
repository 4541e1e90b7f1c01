"""More queues have ready runs than one claim can take."""

import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResult, task_backends
from taskworks.control import pause, resume
from taskworks.models import Pause, TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.models.run import new_run_id
from taskworks.store import Store, store
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.claiming import NoWakeUps, cursor, intake, poll_schedule
from taskworks.worker.claiming.intake import Intake
from tests import tasks
from tests.behavior import run_worker
from tests.clocks import Clock
from tests.connections import begin_elsewhere
from tests.waiting import wait_for
from tests.worker.claiming.test_pauses import WakeUps

pytestmark = pytest.mark.django_db(transaction=True)

RARELY = 600.0  # seconds between two looks at queues that stay empty
MANY = {"thread": 9}
EVERY_EXECUTOR = {"thread": 1, "async": 1, "process": 1, "alone": 1}
NAMES = [f"tenant-{number:02}" for number in range(20)]


@pytest.fixture
def max_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(store()), "max_queues", 3)


def enqueue(*names: str) -> list[TaskResult]:
    return [tasks.noop.using(backend="other", queue_name=name).enqueue() for name in names]


def queues_of(state: str) -> set[str]:
    return {*TaskRun.objects.filter(state=state).values_list("queue_name", flat=True)}


@pytest.fixture
def worker() -> UUID:
    row = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(row)
    return row.id


def test_a_claim_takes_as_many_queues_as_it_says(worker: UUID) -> None:
    names = [f"tenant-{number}" for number in range(store().max_queues)]
    enqueue(names[-1])
    [run] = store().claim(worker, "other", names, EVERY_EXECUTOR)
    assert run.queue_name == names[-1]


def test_the_store_finds_so_many_from_a_name_on() -> None:
    enqueue(*NAMES)
    for found in (store().ready_queues, lambda *given: store().outlook(*given).queues):
        assert found("other") == NAMES
        assert found("other", None, 3) == NAMES[:3]
        assert found("other", NAMES[4], 3) == NAMES[5:8]
        assert found("other", "tenant-045", 1) == [NAMES[5]]
        assert found("other", NAMES[-2], 3) == NAMES[-1:]
        assert found("other", NAMES[-1], 3) == []


@pytest.mark.thorough_on_servers
def test_ten_thousand_are_not_too_many(worker: UUID) -> None:
    enqueue("tenant")
    row = TaskRun.objects.values().get()
    TaskRun.objects.bulk_create(
        TaskRun(**{**row, "id": new_run_id(), "queue_name": f"tenant-{number}"})
        for number in range(10_000)
    )
    if connection.vendor == "sqlite":  # as it is built, where a distribution does not raise it
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
    taken = Intake(store(), "other", Queues(), RARELY, NoWakeUps())
    assert len(taken.claim(worker, EVERY_EXECUTOR, 3)) == 1  # there is room for one of threads


@pytest.mark.usefixtures("max_queues")
def test_a_batch_executes_what_is_in_each() -> None:
    enqueue(*NAMES)
    run_worker("--backend", "other", "--exclude-queues", ",".join(NAMES[:7]))
    assert queues_of("ready") == {*NAMES[:7]}
    run_worker("--backend", "other", "--queues", NAMES[5])
    assert queues_of("ready") == {*NAMES[:7]} - {NAMES[5]}
    run_worker("--backend", "other")
    assert queues_of("ready") == set()


@pytest.mark.usefixtures("max_queues")
@pytest.mark.parametrize("queues", [Queues(), Queues(tuple(NAMES)), Queues((NAMES[-1],))])
def test_a_worker_looks_at_them_without_a_pause(queues: Queues) -> None:
    enqueue(*NAMES)
    options = Options(queues=queues, interval=RARELY)
    worker = Worker(task_backends["other"], options)
    # It does not poll after a while, and nobody tells it of runs.
    working = begin_elsewhere(worker.run)
    wanted = {name for name in NAMES if queues.takes(name)}
    wait_for(lambda: queues_of("successful") == wanted, "it has executed them")
    worker.stop()
    working.result(timeout=60)


@pytest.mark.usefixtures("max_queues")
def test_queues_that_are_always_full_leave_the_others_their_turn(
    worker: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "SURVEY_INTERVAL", 0.0)
    enqueue(*NAMES[:3] * 20, *NAMES[3:])
    taken = Intake(store(), "other", Queues(), RARELY, NoWakeUps())
    runs = [run for _ in range(40) for run in taken.claim(worker, {"thread": 1}, None)]
    assert {run.queue_name for run in runs} == {*NAMES}


@pytest.mark.usefixtures("max_queues")
def test_no_pause_begins_before_every_queue_was_seen_empty(worker: UUID) -> None:
    enqueue(*NAMES[:6] * 2)
    taken = Intake(store(), "other", Queues(), RARELY, NoWakeUps())
    room, left = {"thread": 3}, 12
    while left:
        assert taken.seconds(room) <= poll_schedule.MIN_LOOK_INTERVAL
        left -= len(taken.claim(worker, room, None))


@pytest.mark.usefixtures("max_queues")
def test_own_queues_are_found_in_one_look(worker: UUID) -> None:
    enqueue(*NAMES)
    taken = Intake(store(), "other", Queues((NAMES[-1],)), RARELY, NoWakeUps())
    with CaptureQueriesContext(connection) as captured:
        [run] = taken.claim(worker, {"thread": 5}, None)
    assert run.queue_name == NAMES[-1]
    looks = [query for query in captured if "'scheduled'" in query["sql"]]
    assert len(looks) == 1


class Claims:
    """The claims of a worker that looks at three queues at a time, and what it has got."""

    def __init__(self, worker: UUID, clock: Clock, queues: Queues | None = None) -> None:
        self.wake_ups = WakeUps()
        self.intake = Intake(store(), "other", queues or Queues(), RARELY, self.wake_ups)  # type: ignore[arg-type]
        self._worker, self._clock = worker, clock

    def claim(self, room: Mapping[str, int] = MANY) -> list[str]:
        """Claim once, as soon as the worker looks; return the queues of the runs."""
        self._clock.now += max(self.intake.seconds(room), 0) + 0.000_1
        due = self.intake.room_due(room)
        assert due
        return [run.queue_name for run in self.intake.claim(self._worker, due, None)]

    def claim_until_rest(self, room: Mapping[str, int] = MANY) -> list[str]:
        found = []
        while self.intake.seconds(room) <= poll_schedule.MIN_LOOK_INTERVAL:
            found += self.claim(room)
        return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(intake, "time", clock)
    monkeypatch.setattr(poll_schedule, "time", clock)
    return clock


@pytest.fixture
def claims(worker: UUID, clock: Clock, max_queues: None) -> Claims:
    return Claims(worker, clock)


# Paused queues.


def pause_all(names: list[str]) -> None:
    now = store().read_clock()
    Pause.objects.bulk_create(Pause(backend="other", name=name, at=now) for name in names)


def test_as_many_as_a_look_shows_may_be_paused(worker: UUID) -> None:
    names = [f"tenant-{number:04}" for number in range(store().max_queues + 1)]
    enqueue(names[-1])
    row = TaskRun.objects.values().get()
    TaskRun.objects.bulk_create(
        TaskRun(**{**row, "id": new_run_id(), "queue_name": name}) for name in names[:-1]
    )
    pause_all(names[:-1])
    taken = Intake(store(), "other", Queues(), RARELY, NoWakeUps())
    assert taken.claim(worker, MANY, None) == []
    assert taken.seconds(MANY) <= poll_schedule.MIN_LOOK_INTERVAL
    [run] = taken.claim(worker, MANY, None)
    assert run.queue_name == names[-1]


@pytest.mark.usefixtures("max_queues")
def test_a_batch_executes_what_comes_after_paused_queues() -> None:
    enqueue(*NAMES)
    pause_all(NAMES[:7])
    run_worker("--backend", "other")
    assert queues_of("ready") == {*NAMES[:7]}


def test_a_worker_does_not_claim_from_its_own_queue_while_it_is_paused(
    worker: UUID, clock: Clock, max_queues: None
) -> None:
    enqueue(*NAMES)
    pause_all(NAMES[-2:-1])
    claims = Claims(worker, clock, Queues((*NAMES[-2:], NAMES[-1])))
    assert claims.claim_until_rest() == NAMES[-1:]
    resume(NAMES[-2], backend="other")
    claims.wake_ups.news = {None}
    claims.intake.room_due(MANY)
    assert claims.claim() == [NAMES[-2]]


def test_a_pause_in_the_middle_of_a_turn_passes_no_queue_by(claims: Claims) -> None:
    enqueue(*NAMES)
    found = claims.claim()
    pause(NAMES[1], backend="other")
    pause(NAMES[4], backend="other")
    assert claims.intake.has_new_pause(look=True)
    enqueue(NAMES[1])
    claims.wake_ups.news = {NAMES[2]}  # so that the next claim looks for itself
    for _ in range(6):
        found += claims.claim()
    assert found == [*NAMES[:4], *NAMES[5:]]
    assert claims.claim_until_rest() == []


def test_what_is_paused_in_this_part_is_not_claimed_again(claims: Claims) -> None:
    enqueue(NAMES[0], *NAMES)
    room = {"thread": 1}
    assert claims.claim(room) == NAMES[:1]
    pause(NAMES[0], backend="other")
    assert claims.intake.has_new_pause(look=True)
    assert claims.claim(room) == NAMES[1:2]


def test_claims_that_are_held_up_pass_no_queue_by(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(*NAMES)
    claim = Store.claim

    def held_up(self: Store, *given: Any, **options: Any) -> list[TaskRun]:
        claims.intake._known_at = float("-inf")
        return claim(self, *given, **options)

    monkeypatch.setattr(Store, "claim", held_up)
    assert [name for _ in range(7) for name in claims.claim()] == NAMES


# A worker does not rest while there may be more.


def test_what_is_announced_behind_its_back_is_found(claims: Claims) -> None:
    enqueue(*NAMES[:6])
    assert claims.claim() == NAMES[:3]
    enqueue(NAMES[0])
    claims.wake_ups.news = {NAMES[0]}
    assert claims.claim_until_rest() == [*NAMES[3:6], NAMES[0]]


def test_a_worker_that_rests_claims_from_a_named_queue_at_once(claims: Claims) -> None:
    enqueue(*NAMES[:6])
    pause_all(NAMES[:6])
    assert claims.claim_until_rest() == []
    enqueue(NAMES[-1])
    claims.wake_ups.news = {NAMES[-1]}
    claims.intake.room_due(MANY)
    with CaptureQueriesContext(connection) as captured:
        assert claims.claim() == NAMES[-1:]
    assert not [query for query in captured if "'scheduled'" in query["sql"]]
    assert claims.intake.seconds(MANY) > poll_schedule.MIN_LOOK_INTERVAL


def test_what_is_resumed_behind_its_back_is_found(claims: Claims) -> None:
    enqueue(*NAMES)
    pause(NAMES[0], backend="other", until=timedelta(hours=1))
    assert claims.claim() == NAMES[1:3]
    Pause.objects.update(until=store().read_clock())
    assert claims.claim_until_rest() == [*NAMES[3:], NAMES[0]]


def test_what_becomes_due_behind_its_back_is_found(claims: Claims) -> None:
    enqueue(*NAMES)
    later = tasks.noop.using(backend="other", queue_name=NAMES[0], run_after=timedelta(hours=1))
    later.enqueue()
    assert claims.claim() == NAMES[:3]
    TaskRun.objects.scheduled().update(available_at=store().read_clock())
    assert claims.claim_until_rest() == [*NAMES[3:], NAMES[0]]


def test_what_there_was_no_room_for_is_found_later(claims: Claims) -> None:
    enqueue(*NAMES)
    tasks.add_async.using(backend="other", queue_name=NAMES[0]).enqueue(1, 2)
    assert claims.claim() == NAMES[:3]
    found = claims.claim_until_rest({**MANY, "async": 1})
    assert sorted(found) == [NAMES[0], *NAMES[3:]]


def test_what_comes_before_the_place_of_the_last_claim_is_found(
    claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursor, "RESTART_REST_FACTOR", 1e6)
    enqueue(*NAMES[:2] * 2)
    assert claims.claim({"thread": 1}) == NAMES[:1]
    urgent = tasks.noop.using(backend="other", queue_name=NAMES[0], priority=5)
    urgent.enqueue()
    enqueue(*NAMES[2:])
    claims.wake_ups.news = {None}
    assert sorted(claims.claim_until_rest()) == sorted([*NAMES, *NAMES[:2]])


def test_a_worker_rests_if_nothing_is_ready(claims: Claims) -> None:
    enqueue(*NAMES[:1] * 7)
    room = {"thread": 5}
    assert [len(claims.claim(room)) for _ in range(2)] == [5, 2]  # the second one from a place on
    claims.intake._cursor._started_at = float("-inf")  # as if it was long ago
    assert claims.claim(room) == []
    assert claims.intake.seconds(room) > poll_schedule.MIN_LOOK_INTERVAL
