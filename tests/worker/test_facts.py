"""What a worker's row says of it, and what anybody may ask of it there."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from taskworks import control, task_backends
from taskworks.conf import conf
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.models.worker import Request
from taskworks.release import VARIABLES, release
from taskworks.store import store
from taskworks.worker import Options, Queues, Sizes, Worker
from tests import tasks
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = Sizes(threads=2, async_slots=0, task_processes=1)
MAIL = Queues(names=("mail", 'it\'s "odd"\n'))


@contextmanager
def working(queues: Queues = MAIL, sizes: Sizes = SIZES) -> Iterator[Worker]:
    worker = Worker(
        task_backends["default"], Options(queues=queues, sizes=sizes, interval=0.02, label="same")
    )
    running = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: WorkerRow.objects.living().exists() or running.done(), "it registers")
        yield worker
    finally:
        tasks.gate.set()
        worker.stop()
        worker.stop()
        running.result(timeout=60)
        tasks.gate.clear()


@pytest.fixture(autouse=True)
def _no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def row() -> WorkerRow:
    return WorkerRow.objects.get()


def hold(number: int) -> None:
    """Have so many runs held at the gate."""
    for _ in range(number):
        tasks.wait_for_gate.using(queue_name="mail").enqueue()
    wait_for(lambda: TaskRun.objects.running().count() == number, "they are held")


def test_it_says_what_it_takes_and_what_it_is(settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "RELEASE": " shop\n v12 "}
    with working():
        told = row()
    assert (told.backend, told.queues, told.excluded_queues) == (
        "default",
        [*(MAIL.names or ())],
        [],
    )
    assert told.slots == {"thread": 2, "process": 1}
    assert told.all_slots == 3
    assert told.release == "shop v12"
    assert told.python == platform.python_version()
    assert (told.pid, told.label) == (os.getpid(), "same")


def test_every_queue_but_some() -> None:
    with working(Queues(excluded=frozenset({"mail", "a"}))):
        told = row()
    assert (told.queues, told.excluded_queues) == (None, ["a", "mail"])
    assert told.queues_in_words == "every queue except a, mail"


def test_each_heartbeat_says_how_busy_it_is_and_how_large() -> None:
    with working():
        hold(2)
        wait_for(lambda: row().busy == 2, "the heartbeat says it")
        assert (row().memory or 0) > 1_000_000
        tasks.gate.set()
        wait_for(lambda: row().busy == 0, "the heartbeat says it")


def test_a_heartbeat_with_facts_and_the_answer_to_requests_is_two_statements() -> None:
    told = WorkerRow(id=uuid4(), label="w", hostname="h", pid=1)
    store().register(told)
    with CaptureQueriesContext(connection) as queries:
        assert store().heartbeat(told.id, {"busy": 3, "memory": 2**40})
        store().overview(silence=conf_silence(), witness=told.id)
    assert len(queries) == 2
    assert (row().busy, row().memory) == (3, 2**40)


def conf_silence() -> timedelta:
    return timedelta(seconds=conf().worker_timeout)


# Who takes a run.


def registered(**facts: Any) -> WorkerRow:
    one = WorkerRow(id=uuid4(), label="w", hostname="h", pid=1, **facts)
    store().register(one)
    return one


def test_who_attends_a_queue_is_one_statement() -> None:
    everything = registered(slots={"thread": 4})
    of_mail = registered(queues=["mail"], slots={"async": 9})
    registered(excluded_queues=["mail"], slots={"thread": 1})
    registered(backend="other", slots={"thread": 1})
    registered(slots={"thread": 1}, asked_to=Request.DRAIN)
    registered(slots={"thread": 1}, given_up_at=store().read_clock())
    with CaptureQueriesContext(connection) as queries:
        attending = store().workers.attending("default", "mail")
    assert len(queries) == 1
    assert {one.id for one in attending} == {everything.id, of_mail.id}

    def ids(executor: str) -> set[Any]:
        return {one.id for one in store().workers.attending("default", "mail", executor)}

    assert ids("thread") == {everything.id}
    assert ids("async") == {of_mail.id}
    assert ids("process") == set()
    assert ids("alone") == {everything.id, of_mail.id}


def test_a_silent_one_attends_nothing() -> None:
    registered(slots={"thread": 1})
    assert store().workers.attending("default", "mail", "thread")
    silent = store().read_clock() - 2 * conf_silence()
    WorkerRow.objects.update(heartbeat_at=silent)
    assert store().workers.attending("default", "mail", "thread") == []


def test_nonsense_in_a_row_is_no_slot() -> None:
    one = registered(slots={"thread": "many", "async": 2})
    assert not one.takes("mail", "thread")
    assert one.all_slots == 2


# Asked to end.


def test_one_that_is_asked_to_drain_lets_its_tasks_end() -> None:
    taskworks = {"HEARTBEAT_INTERVAL": 0.2, "SHUTDOWN_TIMEOUT": 0.1}
    with override_settings(TASKWORKS=taskworks), working() as worker:
        hold(1)
        asked = control.stop_worker(row().id, drain=True)
        assert asked.asked_to == "drain"
        wait_for(lambda: worker.shutdown.is_requested, "it has heard")
        tasks.noop.using(queue_name="mail").enqueue()
        # Longer than a stop would have left it.
        assert not worker.shutdown.over.wait(0.5)
        assert TaskRun.objects.running().count() == 1
        tasks.gate.set()
        assert worker.shutdown.over.wait(60)
    assert not WorkerRow.objects.exists()
    states = {run.task_name: run.state for run in TaskRun.objects.all()}
    assert states == {"wait_for_gate": "successful", "noop": "ready"}


@pytest.mark.parametrize("first", [None, Request.DRAIN])
def test_one_that_is_asked_to_stop_stops_as_by_a_signal(first: Request | None) -> None:
    taskworks = {"HEARTBEAT_INTERVAL": 0.2, "SHUTDOWN_TIMEOUT": 0.1, "INTERRUPT_GRACE": 0.2}
    with override_settings(TASKWORKS=taskworks), working() as worker:
        tasks.wait_for_file.using(queue_name="mail").enqueue("/never")
        wait_for(lambda: TaskRun.objects.running().exists(), "one runs")
        told = row().id
        if first:
            control.stop_worker(told, drain=True)
            wait_for(lambda: worker.shutdown.is_requested, "it has heard")
        control.stop_worker(str(told))
        assert worker.shutdown.over.wait(60)
    assert not WorkerRow.objects.exists()
    assert {run.state for run in TaskRun.objects.all()} == {"ready"}


def test_who_was_asked_to_stop_is_not_asked_to_drain_any_more() -> None:
    told = registered().id
    control.stop_worker(told)
    assert control.stop_worker(told, drain=True).asked_to == "stop"


def test_a_request_outlives_that_the_worker_is_given_up() -> None:
    with working() as worker:
        WorkerRow.objects.update(asked_to="drain", given_up_at=store().read_clock())
        assert worker.shutdown.over.wait(60)


def test_nonsense_is_no_request() -> None:
    with working() as worker:
        before = row().heartbeat_at
        WorkerRow.objects.update(asked_to="explode")
        wait_for(lambda: row().heartbeat_at > before, "it goes on")
        wait_for(lambda: row().heartbeat_at > before, "it goes on")
        assert not worker.shutdown.is_requested


@pytest.mark.parametrize("worker", [uuid4(), "nonsense", ""])
def test_only_a_living_worker_can_be_asked(worker: Any) -> None:
    with pytest.raises(ValueError, match=r"living worker|is a UUID"):
        control.stop_worker(worker)
    gone = registered(given_up_at=store().read_clock())
    with pytest.raises(ValueError, match="given up for dead"):
        control.stop_worker(gone.id)


# The release.


@pytest.mark.any_database
def test_the_release_is_the_settings_or_the_environments(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert release() == ""
    monkeypatch.setenv("GIT_SHA", "abc")
    assert release() == "abc"
    monkeypatch.setenv("SENTRY_RELEASE", "shop@1\udc80\n" + "x" * 300)
    assert release().startswith("shop@1\\udc80 xxx")
    assert len(release()) == 200
    settings.TASKWORKS = {"RELEASE": "v2"}
    assert release() == "v2"
    settings.TASKWORKS = {"RELEASE": 2}
    with pytest.raises(ImproperlyConfigured, match=r"'RELEASE'.* must be a string, not 2"):
        release()
