"""How soon an idle worker finds what is ready, and what its idleness costs."""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext

from taskworks.control import pause, resume
from taskworks.database import messengers, notifications
from taskworks.database.listener import Listener, PipeEvent
from taskworks.database.notifications import NOTIFY_INTERVAL
from taskworks.database.payloads import (
    SCHEDULE_SAVED,
    asked_for,
    own_payload,
    ready_queue,
    with_news,
)
from taskworks.duties.promote import promote
from taskworks.duties.rescue import rescue
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import store
from taskworks.worker import Queues, Sizes, Worker
from taskworks.worker.claiming import listening, poll_schedule
from taskworks.worker.claiming.news import MAX_NAMED_QUEUES
from tests import tasks
from tests.settings import DATABASE
from tests.waiting import wait_for
from tests.worker.claiming.idleness import (
    RARELY,
    StartWorker,
    idle,
    rolled_back,
    wait_until_executed,
)

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(DATABASE != "postgresql", reason="only PostgreSQL notifies")
where_a_worker_is_woken = pytest.mark.skipif(
    DATABASE not in ("postgresql", "sqlite"), reason="workers poll"
)
where_a_worker_polls = pytest.mark.skipif(DATABASE == "sqlite", reason="it sees commits")

PING = own_payload("a token")


@pytest.fixture(autouse=True)
def _nobody_has_told(monkeypatch: pytest.MonkeyPatch) -> None:
    notifications._sent_at.clear()
    monkeypatch.setattr(messengers, "in_use", ())  # those of Celery that other tests have used


@contextmanager
def heard() -> Iterator[list[str]]:
    """The notices of runs that were sent meanwhile, as another connection hears them."""
    payloads: list[str] = []
    listener = store().listener()
    assert listener
    with listener:
        listener.listen()
        yield payloads
        store().notify('["the", "end"]')
        while '["the", "end"]' not in payloads:
            payloads += listener.wait(10, PipeEvent())
    payloads.remove('["the", "end"]')


def notice(backend: str | None = None, queue: str | None = None) -> str:
    return json.dumps([backend, queue])


# Found at once.


@where_a_worker_is_woken
def test_an_idle_worker_is_told_at_once(idle_worker: Worker) -> None:
    for _ in range(30):
        notifications._sent_at.clear()  # as if the last one was long ago
        wait_until_executed(tasks.noop.enqueue())


@where_a_worker_is_woken
def test_a_worker_for_named_queues_is_told_of_these(start_worker: StartWorker) -> None:
    idle(start_worker(queues=Queues(("mail",))))
    wait_until_executed(tasks.send_mail.enqueue("you"))


def test_a_worker_heeds_what_concerns_it_and_is_woken_once() -> None:
    woken: list[bool] = []
    scheduler: list[bool] = []
    listener = listening.NotificationListener(
        store(),
        "default",
        Queues(("mail", "news")),
        lambda: woken.append(True),
        wake_scheduler=lambda: scheduler.append(True),
    )
    for payload in (notice("default", "default"), notice("other", "mail"), PING):
        listener._take_in(payload)
    assert (listener.take(), woken) == (set(), [])
    listener._take_in(SCHEDULE_SAVED)
    assert (scheduler, woken) == ([True], [])
    for payload in (notice("default", "mail"), notice("default", "news"), notice("other")):
        listener._take_in(payload)
    assert woken == [True]
    assert listener.take() == {"mail", "news"}
    listener._take_in(notice())
    assert (listener.take(), woken) == ({None}, [True, True])
    for _ in range(MAX_NAMED_QUEUES + 1):
        listener._take_in(notice("default", "mail"))
    assert listener.take() == {"mail", None}
    assert listener.take() == set()


@on_postgresql
def test_many_runs_are_told_of_rarely_and_all_are_executed_at_once(idle_worker: Worker) -> None:
    begun = time.monotonic()
    with heard() as payloads:
        results = [tasks.noop.enqueue() for _ in range(1000)]
        seconds = time.monotonic() - begun
    own = payloads.count(notice("default", "default"))
    print(f"1,000 runs enqueued in {seconds:.2f} s, told of {own} times")
    assert 1 <= own <= seconds / NOTIFY_INTERVAL + 1
    wait_until_executed(*results)  # the last one too, of which nobody may have told


@on_postgresql
def test_what_is_throttled_is_found_when_the_window_is_over(idle_worker: Worker) -> None:
    tasks.noop.enqueue()
    later = [tasks.noop.enqueue() for _ in range(3)]
    wait_until_executed(*later)


def test_a_scheduled_run_is_executed_when_it_is_due(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_schedule, "MIN_POLL_INTERVAL", RARELY)
    result = tasks.noop.using(run_after=timedelta(seconds=1.5)).enqueue()
    start_worker()  # its first look finds nothing that is ready, and when something will be
    wait_until_executed(result)
    run = TaskRun.objects.get(id=result.id)
    assert run.run_after <= run.started_at


def test_an_idle_worker_that_is_to_stop_is_woken(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_schedule, "MIN_POLL_INTERVAL", RARELY)
    monkeypatch.setattr("taskworks.worker.loop.MAX_WAIT", RARELY)
    worker = start_worker()
    wait_for(lambda: worker._intake._poll_schedule._looked_at, "it has looked")
    worker.stop()
    assert worker.shutdown.over.wait(RARELY / 10)


# When it is told, and when not.


@on_postgresql
def test_nothing_is_told_before_the_commit_and_nothing_of_a_rollback() -> None:
    with heard() as payloads:
        with rolled_back():
            tasks.noop.enqueue()
        with transaction.atomic():
            with CaptureQueriesContext(connection) as inside:
                tasks.send_mail.enqueue("you")
                with rolled_back():
                    tasks.noop.enqueue()
            assert not any("PG_NOTIFY" in query["sql"] for query in inside)
    assert payloads == [notice("default", "mail")]


@on_postgresql
def test_a_commit_tells_of_each_queue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        notifications, "NOTIFY_INTERVAL", 60.0
    )  # that of telling 200 times, however slowly
    with heard() as payloads, transaction.atomic():
        for _ in range(100):
            tasks.noop.enqueue()
            tasks.send_mail.enqueue("you")
        tasks.noop.enqueue_many([() for _ in range(100)])
    assert sorted(payloads) == [notice("default", "default"), notice("default", "mail")]


@on_postgresql
def test_a_commit_waits_for_one_notice_however_many_runs_it_has() -> None:
    with transaction.atomic():
        for _ in range(100):
            tasks.noop.enqueue()
        assert len(connection.run_on_commit) == 1


@on_postgresql
def test_nothing_is_told_where_it_is_switched_off(settings: Any) -> None:
    with heard() as payloads:
        settings.TASKWORKS = {**settings.TASKWORKS, "NOTIFY": False}
        tasks.noop.enqueue()
    assert payloads == []
    assert store().listener() is None


@where_a_worker_polls
def test_without_notices_a_worker_polls(
    settings: Any, start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_schedule, "ACTIVE_FOR", 0.0)
    settings.TASKWORKS = {**settings.TASKWORKS, "NOTIFY": False}
    worker = start_worker(interval=0.2)
    wait_for(lambda: worker._intake._poll_schedule._pause == 0.2, "it looks rarely")
    wait_until_executed(tasks.noop.enqueue())
    assert not worker._threads.wake_ups.works
    assert not worker._threads.wake_ups.is_alive()


@on_postgresql
@pytest.mark.parametrize("way", ["promote", "rescue", "retry", "requeue", "release", "strays"])
def test_whatever_makes_a_run_ready_tells(way: str) -> None:
    result = tasks.noop.enqueue()
    worker = WorkerRow(id=uuid4(), label="of a test", hostname="here", pid=1)
    store().register(worker)
    runs = store().claim(worker.id, "default", ["default"], {"thread": 1})
    notifications._sent_at.clear()
    with heard() as payloads:
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
    assert TaskRun.objects.get().state == "ready"
    of_a_queue = way in ("requeue", "release")
    assert payloads == [notice("default", "default") if of_a_queue else notice()]


@on_postgresql
def test_what_is_due_soon_is_told_and_what_is_due_later_is_not() -> None:
    with heard() as payloads:
        tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
        tasks.send_mail.using(run_after=timedelta(seconds=3)).enqueue("you")
    assert payloads == [notice("default", "mail")]


@on_postgresql
def test_a_run_is_enqueued_though_nobody_can_be_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("taskworks.store.postgresql.CHANNEL", "x" * 64)  # one sign too many
    tasks.noop.enqueue()
    assert TaskRun.objects.ready().count() == 1
    assert "could not be notified" in caplog.text


# When the connection that listens is lost, or deaf.


@on_postgresql
def test_a_listener_that_is_cut_off_comes_back_and_misses_nothing(idle_worker: Worker) -> None:
    for _ in range(3):
        before = listeners()
        assert len(before) == 1
        cut_off_listeners()
        wait_until_executed(tasks.noop.enqueue())
        wait_for(
            lambda before=before: len(listeners()) == 1 and listeners().isdisjoint(before),
            "it listens again",
        )
    idle(idle_worker)
    wait_until_executed(tasks.noop.enqueue())


@on_postgresql
@pytest.mark.django_db(transaction=True, databases=["default", "queue"])
def test_a_worker_that_hears_nothing_polls_until_it_hears_again(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "ARRIVES_WITHIN", 1.0)
    monkeypatch.setattr(listening, "SELF_TEST_INTERVAL", 0.5)
    whole = type(store()).listener
    # As behind a pooler in transaction mode: what is sent here does not arrive there.
    monkeypatch.setattr(type(store()), "listener", lambda self: Listener(connections["queue"]))
    worker = start_worker(interval=0.2)
    wait_for(lambda: "do not arrive" in caplog.text, "it notices")
    wait_until_executed(tasks.noop.enqueue())
    assert not worker._threads.wake_ups.works
    monkeypatch.setattr(type(store()), "listener", whole)
    monkeypatch.setattr(listening, "ARRIVES_WITHIN", 60.0)
    wait_for(lambda: "arrive again" in caplog.text, "it hears again")
    assert worker._threads.wake_ups.works
    assert caplog.text.count("do not arrive") == 1
    wait_until_executed(tasks.noop.enqueue())


@on_postgresql
def test_a_worker_that_is_told_of_a_paused_queue_claims_nothing_from_it(
    idle_worker: Worker,
) -> None:
    for _ in range(10):
        pause("imports")  # two in a row, of which neither is left out as one too many
        pause("mail")
        waiting = tasks.noop.using(queue_name="mail").enqueue()
        wait_until_executed(tasks.noop.enqueue())
        assert TaskRun.objects.get(id=waiting.id).state == "ready"
        notifications._sent_at.clear()
        resume("imports")
        resume("mail")
        wait_until_executed(waiting)
        notifications._sent_at.clear()


@on_postgresql
def test_a_pause_is_told_of_with_its_commit() -> None:
    with heard() as payloads:
        with transaction.atomic():
            pause("mail")
        with rolled_back():
            resume("mail")
    assert payloads == [notice()]


@on_postgresql
def test_a_listener_takes_no_connection_of_a_pool() -> None:
    copy = connection.copy()
    copy.settings_dict["OPTIONS"] = {**copy.settings_dict["OPTIONS"], "pool": True}
    listener = Listener(copy)
    assert "pool" not in listener._connection.settings_dict["OPTIONS"]
    assert copy.settings_dict["OPTIONS"]["pool"]
    with listener:
        assert not listener.is_pooled
        listener.listen()
        assert len(listeners()) == 1
    wait_for(lambda: not listeners(), "it is closed")


# What it costs.


@on_postgresql
def test_a_busy_worker_is_woken_without_a_query(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks.gate.clear()
    worker = idle(start_worker(sizes=Sizes(threads=1, async_slots=0, task_processes=0)))
    worker._pools._sizes["alone"] = 0  # or it always has a place for a suspect
    busy = tasks.wait_for_gate.enqueue()
    wait_for(lambda: TaskRun.objects.get(id=busy.id).state == "running", "it is busy")
    asked: list[Any] = []
    outlook = type(store()).outlook
    monkeypatch.setattr(
        type(store()), "outlook", lambda self, *given: asked.append(given) or outlook(self, *given)
    )
    waiting = []
    for _ in range(5):
        notifications._sent_at.clear()
        worker._intake._poll_schedule._again_at = 0.0
        waiting.append(tasks.noop.enqueue())
        wait_for(lambda: worker._intake._poll_schedule._again_at > 0.0, "it has heard")
    assert asked == []
    tasks.gate.set()
    wait_until_executed(busy, *waiting)


def test_an_idle_worker_looks_and_beats_and_asks_nothing_else(
    start_worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: Counter[str] = Counter()
    execute = CursorWrapper.execute

    def counted(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        statements[threading.current_thread().name] += 1
        return execute(self, sql, params)

    worker = start_worker(interval=0.1)
    if store().can_notify:
        wait_for(lambda: worker._threads.wake_ups.works, "it listens")
    wait_for(lambda: worker._intake._poll_schedule._pause >= 0.1, "it is idle")
    beats, looks = calls_of("heartbeat", monkeypatch), calls_of("outlook", monkeypatch)
    monkeypatch.setattr(CursorWrapper, "execute", counted)
    wait_for(lambda: len(beats) >= 10, "it has beaten a few times")
    statements.pop("taskworks-housekeeping", None)  # once a minute, which may be now
    assert statements.pop("taskworks-sampling", 0) <= 22  # twice a minute, by one worker of all
    of_heartbeat = statements.pop("taskworks-heartbeat")
    assert of_heartbeat <= 2 * len(beats) + 1
    assert statements.total() <= len(looks) + 1


def calls_of(verb: str, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One item for each time that the store is asked for this from now on."""
    calls: list[None] = []
    kind = type(store())
    real = getattr(kind, verb)
    monkeypatch.setattr(kind, verb, lambda *given: calls.append(None) or real(*given))
    return calls


def fetch(statement: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


LISTENING = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


def listeners() -> set[int]:
    return {pid for (pid,) in fetch(f"SELECT pid {LISTENING}")}


def cut_off_listeners() -> None:
    assert fetch(f"SELECT pg_terminate_backend(pid) {LISTENING}")


@pytest.mark.any_database
@pytest.mark.parametrize(
    "payload",
    ["", "x", "{", "5", "null", "[" * 5000, '"ab"', "[]", "[1, 2]", '[{}, []]', '{"watch": 5}',
     '{"watch": [5, null, "x", {}]}', '{"watch": ["5"]}', '{"schedules": false}',
     r'[null, "a\u0000b"]', r'["default", "\ud800"]', json.dumps([None, "x" * 129])],
    ids=lambda payload: f"{payload:.20}",
)  # fmt: skip
def test_a_payload_of_somebody_else_is_none_of_ours(payload: str) -> None:
    assert ready_queue(payload) is None
    assert asked_for(payload) == []
    assert with_news(payload) == []


@on_postgresql
def test_a_worker_ignores_what_any_role_may_send(
    idle_worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    no_name = r'["default", "a\u0000b"]'
    for payload in ("nonsense", "[{}, 5]", '{"watch": ["x"]}', "[" * 5000, no_name):
        store().notify(payload)
    wait_until_executed(tasks.noop.enqueue())  # it still hears
    assert idle_worker._threads.wake_ups.works
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
