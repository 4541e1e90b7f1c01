"""Which tickets are sent, of what, when and where to."""

import unittest
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from django.db import connection, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext
from kombu import Exchange, Queue

from taskworks import control, instruments, task_backends
from taskworks.database import notifications
from taskworks.instruments import EnqueuedRuns, Instrument
from taskworks.models import RunState, TaskRun, Worker
from taskworks.store import store
from tests.limited import send
from tests.tasks import noop
from tests.tickets.queues import Queues

pytestmark = pytest.mark.django_db(transaction=True)


def _on_celery(**changes: Any) -> Any:
    return noop.using(backend="celery", **changes)


def test_a_ticket_names_the_run(queues: Queues) -> None:
    result = _on_celery().enqueue(1, b=2)
    [message] = queues.take(1)
    assert message.headers["task"] == "taskworks.run"
    assert message.headers["id"] == message.properties["correlation_id"] == result.id
    assert message.headers["ignore_result"] is True
    assert message.headers["expires"] is message.headers["eta"] is None
    assert message.payload[:2] == [[result.id], {}]


def test_what_a_run_carries_is_in_the_headers(queues: Queues) -> None:
    class Tracer(Instrument):
        name = "tracer"

        def enqueuing(self, runs: EnqueuedRuns) -> Any:
            runs.carry(self.name, {"traceparent": "00-ab-cd-01", "tracestate": "x=y", "other": "z"})
            return super().enqueuing(runs)

    instruments.add(Tracer())
    try:
        _on_celery(metadata={"correlation_id": "abc"}).enqueue()
    finally:
        instruments.remove("tracer")
    [message] = queues.take(1)
    assert message.headers["traceparent"] == "00-ab-cd-01"
    assert message.headers["tracestate"] == "x=y"
    assert message.headers["correlation_id"] == "abc"
    assert "other" not in message.headers


@pytest.mark.parametrize("metadata", [{"taskworks.instruments": 5}, {"routing_key": 5}, {}])
def test_nonsense_in_metadata_does_no_harm(queues: Queues, metadata: Any) -> None:
    run = _on_celery().enqueue()
    TaskRun.objects.filter(id=run.id).update(state="failed", metadata=metadata)
    task_backends["celery"].retry(run.id)
    assert len(queues.take(2)) == 2


def test_there_is_none_before_the_commit_and_one_a_run_after_it(queues: Queues) -> None:
    with transaction.atomic():
        first = [_on_celery().enqueue().id for _ in range(3)]
        waiting = [call for _, call, *_ in connection.run_on_commit]
        _on_celery(queue_name="mail").enqueue()
        assert queues.take(0) == []
    assert queues.ids(3) == first
    assert len(waiting) <= 2  # with one for workers that the database notifies
    assert len(queues.take(1, "mail")) == 1


def test_what_is_rolled_back_has_none(queues: Queues) -> None:
    with transaction.atomic():
        _on_celery().enqueue()
        transaction.set_rollback(True)
    with transaction.atomic():
        with transaction.atomic():
            _on_celery().enqueue()
            transaction.set_rollback(True)
        kept = _on_celery().enqueue()
    assert queues.ids(1) == [kept.id]


def test_a_transaction_of_a_test_case_has_none(queues: Queues) -> None:
    class Case(TestCase):
        def runTest(self) -> None:
            _on_celery().enqueue()
            with self.captureOnCommitCallbacks(execute=True):
                _on_celery().enqueue()

    outcome = unittest.TestResult()
    unittest.TestSuite([Case()]).run(outcome)
    assert outcome.wasSuccessful(), outcome.errors
    kept = _on_celery().enqueue()
    assert queues.ids(1) == [kept.id]


@pytest.mark.parametrize(("most", "sent"), [(100, 7), (5, 5), (0, 0)])
def test_many_at_once_have_a_few(queues: Queues, backend: Any, most: int, sent: int) -> None:
    backend["OPTIONS"]["TICKETS"] = most
    results = _on_celery().enqueue_many([([], {})] * 7)
    backend["OPTIONS"]["TICKETS"] = 1
    last = _on_celery().enqueue()
    assert queues.ids(sent + 1) == [*(result.id for result in results[:sent]), last.id]


def test_they_go_to_the_queues_of_celery(queues: Queues, backend: Any) -> None:
    backend["OPTIONS"]["CELERY_QUEUES"] = {
        "default": queues.default,
        "mail": f"{queues.default}-io",
    }
    first, second = _on_celery().enqueue(), _on_celery(queue_name="mail").enqueue()
    third = _on_celery(queue_name=f"{queues.default}-x").enqueue()
    assert queues.ids(1) == [first.id]
    assert queues.ids(1, f"{queues.default}-io") == [second.id]
    assert queues.ids(1, f"{queues.default}-x") == [third.id]


def test_the_app_routes_them(queues: Queues, app: Celery) -> None:
    topics = Exchange(f"{queues.default}-topics", type="topic", auto_delete=True)
    app.conf.task_queues = [
        Queue(queues.default, topics, routing_key="all.#"),
        Queue(f"{queues.default}-prints", topics, routing_key="prints"),
    ]
    for queue in app.conf.task_queues:  # so that the key finds it
        queues.take(0, queue.name)
    _on_celery(metadata={"routing_key": "prints"}).enqueue()
    [message] = queues.take(1, f"{queues.default}-prints")
    assert message.delivery_info["routing_key"] == "prints"


def test_a_run_with_a_limit_has_one(queues: Queues) -> None:
    result = send.using(backend="celery").enqueue("ann")
    assert queues.ids(1) == [result.id]


def test_other_backends_have_none_and_all_send_the_same_statements(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "NOTIFY_INTERVAL", 0.0)  # or fast ones send fewer
    statements = []
    for task in (noop, _on_celery()):
        task.enqueue()  # what is done once
        with CaptureQueriesContext(connection) as captured:
            task.enqueue()
            task.enqueue_many([([], {})] * 3)
        statements.append([_without_values(query["sql"]) for query in captured])
    assert statements[0] == statements[1]
    assert len(queues.take(5)) == 5


def _without_values(sql: str) -> str:
    return sql.partition("VALUES")[0].partition("SELECT")[0]


# What makes runs ready later.


def _ended(**columns: Any) -> TaskRun:
    run = _on_celery().enqueue()
    TaskRun.objects.filter(id=run.id).update(**columns)
    return TaskRun.objects.get(id=run.id)


def test_retries_by_hand_have_one(queues: Queues) -> None:
    run = _ended(state=RunState.FAILED)
    queues.take(1)
    assert task_backends["celery"].retry(str(run.id))
    assert len(queues.take(1)) == 1


def test_promoted_runs_have_one(queues: Queues) -> None:
    _on_celery(run_after=timedelta(hours=1)).enqueue_many([([], {})] * 3)
    assert queues.take(0) == []
    TaskRun.objects.update(available_at="2000-01-01T00:00:00Z")
    assert store().promote(10) == 3
    assert len(queues.take(3)) == 3


def _claimed() -> list[TaskRun]:
    worker = Worker(id=uuid4(), label="a", hostname="here", pid=1, slots={"thread": 1})
    store().register(worker)
    return store().claim(worker.id, "celery", ["default"], {"thread": 9})


def test_what_a_worker_puts_back_has_one(queues: Queues) -> None:
    _on_celery().enqueue()
    queues.take(1)
    for put_back in ("release", "requeue"):
        [run] = _claimed()
        run.state = RunState.READY
        assert getattr(store(), put_back)([run]) == {run.id}
        assert queues.ids(1) == [str(run.id)]


def test_rescued_runs_have_one(queues: Queues) -> None:
    _on_celery().enqueue()
    queues.take(1)
    _claimed()
    Worker.objects.all().delete()
    assert len(store().rescue(10)) == 1
    assert len(queues.take(1)) == 1


def test_what_a_pause_held_up_has_one(queues: Queues) -> None:
    control.pause("default", backend="celery")
    _on_celery().enqueue()
    queues.take(1)
    control.resume("default", backend="celery")
    assert len(queues.take(1)) == 1


def test_queues_that_nobody_names_are_known_by_their_tickets(queues: Queues) -> None:
    other = f"{queues.default}-y"
    run = _on_celery(queue_name=other).enqueue()
    queues.take(1, other)
    TaskRun.objects.filter(id=run.id).update(state=RunState.FAILED)
    task_backends["celery"].retry(run.id)
    assert len(queues.take(1, other)) == 1
