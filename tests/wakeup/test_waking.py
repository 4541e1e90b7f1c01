"""Workers that Redis wakes, whatever their database can do; and what it costs them if it fails."""

import json
import logging
import math
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models.signals import post_save

from taskworks.control import pause, resume
from taskworks.database import notifications
from taskworks.database.payloads import SCHEDULE_SAVED
from taskworks.duties.promote import promote
from taskworks.duties.rescue import rescue
from taskworks.models import Schedule, TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import store
from taskworks.wakeup.channel import channel_of
from taskworks.worker import Queues, Worker
from taskworks.worker.claiming import poll_schedule, redis_listening, watching
from taskworks.worker.claiming.redis_listening import LONGEST_PAYLOAD, RedisListener
from tests import tasks
from tests.connections import elsewhere
from tests.redis_server import RedisServer
from tests.settings import DATABASE
from tests.waiting import wait_for
from tests.wakeup.conftest import Heard
from tests.worker.claiming.idleness import (
    RARELY,
    StartWorker,
    idle,
    rolled_back,
    wait_until_executed,
)

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(DATABASE != "postgresql", reason="only PostgreSQL notifies")


@pytest.fixture(autouse=True)
def _sees_no_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a worker on SQLite would see each commit after a second."""
    monkeypatch.setattr(watching, "WOKEN_GLANCE_INTERVAL", RARELY)


def listener_of(worker: Worker) -> RedisListener:
    return worker._threads.wake_ups._sources[0]


def is_subscribed(worker: Worker) -> bool:
    return listener_of(worker).works


def now_asleep(worker: Worker) -> Worker:
    wait_for(lambda: is_subscribed(worker), "it is subscribed")
    return idle(worker)


@pytest.fixture
def sleeper(redis: RedisServer, start_worker: StartWorker) -> Worker:
    """An idle worker that looks again in ten minutes."""
    return now_asleep(start_worker())


# Woken at once.


def test_an_idle_worker_is_woken_at_once(sleeper: Worker) -> None:
    for _ in range(10):
        notifications._sent_at.clear()
        wait_until_executed(tasks.noop.enqueue())


def test_a_worker_for_named_queues_is_woken_for_these_alone(
    redis: RedisServer, start_worker: StartWorker
) -> None:
    worker = now_asleep(start_worker(queues=Queues(("mail",))))
    woken: list[str | None] = []
    listener_of(worker)._news.note = woken.append
    tasks.noop.enqueue()
    tasks.noop.using(backend="other", queue_name="mail").enqueue()
    tasks.send_mail.enqueue("you")
    wait_for(lambda: woken, "it hears")
    assert woken == [None]


def test_what_is_left_out_as_one_too_many_is_found(sleeper: Worker) -> None:
    wait_until_executed(*[tasks.noop.enqueue() for _ in range(100)])


def test_a_saved_schedule_wakes_the_schedulers(
    redis: RedisServer, heard: Heard, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with heard() as payloads:
        schedule = Schedule(label="nightly", path="tests.tasks.noop", cron="0 0 * * *")
        schedule.save()
    assert payloads == [json.loads(SCHEDULE_SAVED)]
    worker = now_asleep(start_worker())
    woken: list[bool] = []
    listener_of(worker)._wake_scheduler = lambda: woken.append(True)
    notifications._sent_at.clear()
    post_save.send(Schedule, instance=schedule, using="default")
    wait_for(lambda: woken, "the scheduler is woken")


# What is sent, and when.


def notice(backend: str | None = None, queue: str | None = None) -> list[str | None]:
    return [backend, queue]


def test_nothing_is_sent_before_the_commit_and_nothing_of_a_rollback(heard: Heard) -> None:
    with heard() as payloads:
        with rolled_back():
            tasks.noop.enqueue()
            pause("mail")
        with heard() as inside, transaction.atomic():
            tasks.send_mail.enqueue("you")
        assert inside == [notice("default", "mail")]
    assert payloads == [notice("default", "mail")]


def test_a_commit_with_many_runs_wakes_once_for_each_queue(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "NOTIFY_INTERVAL", 60.0)
    with heard() as payloads, transaction.atomic():
        for _ in range(20):
            tasks.noop.enqueue()
            tasks.send_mail.enqueue("you")
    assert sorted(payloads) == [notice("default", "default"), notice("default", "mail")]


WAYS = ["promote", "rescue", "retry", "requeue", "release", "strays", "resume"]


@pytest.mark.parametrize("way", WAYS)
def test_whatever_makes_a_run_ready_wakes(way: str, heard: Heard) -> None:
    result = tasks.noop.enqueue()
    worker = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(worker)
    runs = store().claim(worker.id, "default", ["default"], {"thread": 1})
    if way == "resume":
        pause("default")
    notifications._sent_at.clear()
    with heard() as payloads:
        _make_ready(way, result, worker, runs)
    of_a_queue = way in ("requeue", "release")
    assert payloads == [notice("default", "default") if of_a_queue else notice()]


def _make_ready(way: str, result: Any, worker: WorkerRow, runs: list[TaskRun]) -> None:
    match way:
        case "promote":
            TaskRun.objects.update(state="scheduled")
            promote(store())
        case "rescue":
            store().leave(worker.id)
            rescue(store())
        case "retry":
            TaskRun.objects.update(state="failed")
            result.retry()
        case "requeue":
            runs[0].state = "ready"
            store().requeue(runs)
        case "release":
            runs[0].state = "ready"
            store().release(runs)
        case "strays":
            store().release_strays(worker.id, [])
        case "resume":
            resume("default")


def test_what_is_due_soon_wakes_and_what_is_due_later_does_not(heard: Heard) -> None:
    with heard() as payloads:
        tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
        tasks.send_mail.using(run_after=timedelta(seconds=3)).enqueue("you")
    assert payloads == [notice("default", "mail")]


@pytest.mark.django_db(transaction=True, databases=["default", "queue"])
def test_workers_of_another_database_hear_nothing_of_it(heard: Heard) -> None:
    assert elsewhere(lambda: channel_of("default")) != elsewhere(lambda: channel_of("queue"))
    with heard("queue") as payloads:
        tasks.noop.enqueue()
    assert payloads == []


def test_a_worker_that_has_not_heard_of_a_pause_heeds_it(settings: Any, sleeper: Worker) -> None:
    woken_by = settings.TASKWORKS
    settings.TASKWORKS = {**woken_by, "WAKEUP": ""}  # as if Redis had lost it
    pause("mail")
    settings.TASKWORKS = woken_by
    waiting = tasks.noop.using(queue_name="mail").enqueue()
    wait_until_executed(tasks.noop.enqueue())
    assert TaskRun.objects.get(id=waiting.id).state == "ready"
    notifications._sent_at.clear()
    resume("mail")
    wait_until_executed(waiting)


def test_what_anybody_may_send_is_ignored(
    redis: RedisServer, sleeper: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    woken: list[str | None] = []
    listener_of(sleeper)._news.note = woken.append
    with redis.client() as client:
        for payload in (
            b"", b"\xff\xfe", b"nonsense", b"[{}, 5]", b"[" * 5000, b'["default", "a\\u0000"]',
            b'["default", "\\ud800"]', b'["default", "default"]' + b" " * 1_000_000,
            b'{"watch": ["x"]}',
        ):  # fmt: skip
            assert client.publish(channel_of("default"), payload) == 1
        assert client.publish("taskworks:of-others", b"[null, null]") == 0
        assert client.publish(channel_of("default"), b" " * LONGEST_PAYLOAD) == 1
        assert client.publish(channel_of("default"), b'["default", "default"]') == 1
    wait_for(lambda: woken, "it hears what is ours")
    assert woken == [None]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# When Redis is lost, and comes back.


def wait_for_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    wait_for(lambda: text in caplog.text, f"the log has {text!r}")


@pytest.fixture
def polling(
    redis: RedisServer, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> Worker:
    """A worker that is subscribed, and polls twice a second otherwise."""
    monkeypatch.setattr(watching, "WOKEN_GLANCE_INTERVAL", 1.0)
    monkeypatch.setattr(redis_listening, "SELF_TEST_INTERVAL", 0.3)
    monkeypatch.setattr(redis_listening, "LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(redis_listening, "ANSWERS_WITHIN", 1.0)
    worker = start_worker(interval=0.5)
    wait_for(lambda: is_subscribed(worker), "it is subscribed")
    return worker


def test_a_worker_whose_redis_has_gone_polls_until_it_is_back(
    redis: RedisServer, polling: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    redis.stop()
    wait_for(lambda: not is_subscribed(polling), "it notices")
    wait_until_executed(*[tasks.noop.enqueue() for _ in range(5)])
    redis.start()
    wait_for(lambda: is_subscribed(polling), "it is subscribed again")
    wait_for_log(caplog, "Redis answers again: listening for wake-ups.")
    assert caplog.text.count("Redis error while listening for wake-ups; retrying: ") == 1
    wait_until_executed(tasks.noop.enqueue())


def test_a_worker_whose_redis_is_frozen_polls_until_it_goes_on(
    redis: RedisServer, polling: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    redis.freeze()
    wait_for_log(caplog, "listening for wake-ups; retrying: no answer within 1 s")
    wait_until_executed(*[tasks.noop.enqueue() for _ in range(5)])
    assert not is_subscribed(polling)
    redis.thaw()
    wait_for(lambda: is_subscribed(polling), "it is subscribed again")


def test_a_worker_that_is_cut_off_comes_back_and_misses_nothing(
    redis: RedisServer, sleeper: Worker
) -> None:
    with redis.client() as client:
        for _ in range(3):
            assert client.client_kill_filter(_type="pubsub") == 1
            wait_until_executed(tasks.noop.enqueue())
            wait_for(lambda: is_subscribed(sleeper), "it is subscribed again")


def test_a_worker_begins_without_redis(
    redis: RedisServer, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_listening, "LONGEST_PAUSE", 0.5)
    redis.stop()
    worker = start_worker(interval=0.2)
    wait_until_executed(tasks.noop.enqueue())
    redis.start()
    wait_for(lambda: is_subscribed(worker), "it is subscribed")


@on_postgresql
def test_notifications_of_the_database_wake_beside_redis(
    redis: RedisServer, settings: Any, start_worker: StartWorker
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "NOTIFY": True}
    worker = start_worker()
    wait_for(
        lambda: all(source.works for source in worker._threads.wake_ups._sources), "both are there"
    )
    idle(worker)
    redis.stop()
    wait_until_executed(tasks.noop.enqueue())


# Runs of which nobody has told.


@pytest.mark.skipif(DATABASE == "sqlite", reason="a worker sees commits")
def test_a_worker_that_finds_what_it_was_not_told_of_polls_as_usual(
    settings: Any, redis: RedisServer, start_worker: StartWorker
) -> None:
    worker = start_worker(interval=1.0)
    wait_for(lambda: is_subscribed(worker), "it is subscribed")
    schedule = worker._intake._poll_schedule
    # After the look that follows the news of the subscription.
    wait_for(lambda: (schedule._pause, schedule._again_at) == (1.0, math.inf), "it polls rarely")
    settings.TASKWORKS = {**settings.TASKWORKS, "WAKEUP": ""}  # of who enqueues
    wait_until_executed(tasks.noop.enqueue())
    wait_for(lambda: schedule._missed_at > 0, "it notices")
    assert is_subscribed(worker)
    assert schedule._pause <= poll_schedule.POLL_INTERVAL_AFTER_WORK
