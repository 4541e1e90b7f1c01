"""The worker of a backend, in a thread beside a Celery worker that does not run."""

from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.concurrency.thread import TaskPool

from taskworks import task_backends
from taskworks.celery_worker import desk as desks
from taskworks.celery_worker.desk import Desk
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.requests import RunRequest
from taskworks.celery_worker.threads import CeleryThreads
from taskworks.database import messengers
from taskworks.models import Worker
from tests.tickets import celery_project
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Celery]:
    monkeypatch.setattr(messengers, "in_use", ())
    app = Celery("shop", broker="memory://", set_as_current=False)
    monkeypatch.setattr(celery_project, "app", app)
    entry = {
        "BACKEND": "taskworks.backends.celery.CeleryBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"CELERY_APP": "tests.tickets.celery_project:app"},
    }
    settings.TASKS = {**settings.TASKS, "celery": entry}
    yield app
    app.close()


@pytest.fixture
def desk(app: Celery) -> Iterator[Desk]:
    pool = TaskPool(limit=2)
    celery_worker = SimpleNamespace(
        app=app, pool=pool, hostname="desk@here", hub=None, consumer=None
    )
    make_request = partial(RunRequest, celery_worker=celery_worker, task=None, release=lambda: None)
    yield Desk(
        task_backends["celery"],  # type: ignore[arg-type]
        celery_worker,
        MainThread(celery_worker),
        partial(CeleryThreads, MainThread(celery_worker), celery_worker, make_request),
        lambda desk: None,
    )
    pool.on_stop()


def test_it_holds_tickets_while_it_drains(desk: Desk) -> None:
    assert desk._tickets
    assert desk._tickets._has_room()
    desk.worker.shutdown.request(drain=True)
    assert not desk._tickets._has_room()


def test_its_row_names_the_queues_that_are_consumed_now(desk: Desk, app: Celery) -> None:
    def row() -> Worker:
        return Worker.objects.living().get()

    desk.worker._registration.begin()
    assert row().queues == ["default"]
    app.amqp.queues.select_add("mail")
    desk.worker._threads.heartbeat.beat()
    assert row().takes("mail")
    app.amqp.queues.deselect(["mail"])
    desk.worker._threads.heartbeat.beat()
    assert not row().takes("mail")
    app.amqp.queues.select_add("mail")
    desk.worker._registration.lose(desk.worker.id)
    desk.worker._registration.renew()
    assert row().takes("mail")


def test_it_is_asked_again_if_it_was_not_asked_in_full(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "ASK_AGAIN_AFTER", 0.01)
    desk.start()
    wait_for(Worker.objects.living().exists, "it has registered")
    desk._asks.pop()  # as when an exception in a signal handler strikes just then
    desk.ask()
    desk.see_to_its_end()
    assert not desk.has_failed
    assert not Worker.objects.exists()


def test_it_does_not_begin_once_it_was_asked(desk: Desk) -> None:
    desk.ask()
    desk.start()
    desk.join(60)
    assert not desk._thread.is_alive()
    assert not Worker.objects.exists()
