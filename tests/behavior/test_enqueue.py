"""``enqueue`` and ``aenqueue``: one row, in the caller's transaction, and a snapshot of it."""

import logging
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResultStatus
from taskworks.framework import LOGGER_NAME
from taskworks.models import RunState, TaskRun
from taskworks.signals import task_enqueued
from taskworks.store import store
from tests import tasks
from tests.behavior import (
    Enqueue,
    backend_class,
    executed,
    received,
    refused,
    rewrite,
    run_of,
)
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db


def test_a_new_result_is_ready_and_has_no_past(enqueue: Enqueue) -> None:
    result = enqueue(tasks.noop)
    assert result.status is TaskResultStatus.READY
    assert not result.is_finished
    assert result.attempts == 0
    assert result.errors == []
    assert result.worker_ids == []
    times = (result.started_at, result.last_attempted_at, result.finished_at)
    assert times == (None, None, None)


def test_a_new_result_has_the_databases_time(enqueue: Enqueue) -> None:
    before = store().read_clock()
    result = enqueue(tasks.noop)
    assert before <= result.enqueued_at <= store().read_clock()


def test_a_new_result_has_its_run_for_an_id(enqueue: Enqueue) -> None:
    result = enqueue(tasks.noop)
    assert isinstance(result.id, str)
    assert TaskRun.objects.get().id == UUID(result.id)


def test_a_new_result_knows_its_task_and_backend(enqueue: Enqueue) -> None:
    result = enqueue(tasks.noop.using(priority=5))
    assert result.task == tasks.noop.using(priority=5)
    assert result.backend == "default"


def test_a_new_result_has_no_return_value(enqueue: Enqueue) -> None:
    result = enqueue(tasks.noop)
    with pytest.raises(ValueError, match=r"^Task has not finished yet$"):
        result.return_value  # noqa: B018


def test_arguments_are_a_list_and_a_dict(enqueue: Enqueue) -> None:
    result = enqueue(tasks.noop, 1, "two", three=None)
    assert (result.args, result.kwargs) == ([1, "two"], {"three": None})


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ((1, (2,)), [1, [2]]),
        (range(3), [0, 1, 2]),
        (OrderedDict(a=(1,)), {"a": [1]}),
        (TaskResultStatus.READY, "READY"),
        (RunState.READY, "ready"),
    ],
)
def test_arguments_become_plain_json_at_once(enqueue: Enqueue, given: Any, normal: Any) -> None:
    result = enqueue(tasks.noop, given, key=given)
    assert (result.args, result.kwargs) == ([normal], {"key": normal})
    assert type(result.args[0]) is type(normal)
    assert (run_of(result).args, run_of(result).kwargs) == ([normal], {"key": normal})


def test_a_change_of_an_argument_afterwards_changes_nothing(enqueue: Enqueue) -> None:
    items = [1]
    result = enqueue(tasks.noop, items)
    items.append(2)
    assert result.args == [[1]]


def test_a_date_is_no_argument(enqueue: Enqueue) -> None:
    with refused(TypeError, "Unsupported type: <class 'datetime.datetime'> at args[0]"):
        enqueue(tasks.noop, datetime.now(UTC))


def test_a_row_has_what_was_enqueued(enqueue: Enqueue) -> None:
    run = run_of(enqueue(tasks.noop.using(queue_name="mail", priority=-7, backend="other"), 1, a=2))
    assert (run.queue_name, run.priority, run.backend) == ("mail", -7, "other")
    assert (run.task_path, run.args, run.kwargs) == ("tests.tasks.noop", [1], {"a": 2})
    assert run.state == RunState.READY


def test_enqueueing_is_one_insert_and_on_mysql_a_look_at_the_clock(enqueue: Enqueue) -> None:
    is_mysql = connection.vendor == "mysql" and not connection.mysql_is_mariadb
    with CaptureQueriesContext(connection) as captured:
        enqueue(tasks.noop, 1)
    statements = [query["sql"] for query in captured.captured_queries]
    inserts = [sql for sql in statements if sql.lstrip().startswith("INSERT")]
    assert len(inserts) == 1
    assert len(statements) == (2 if is_mysql else 1)


def test_the_signal_is_sent_once_by_the_backends_class(enqueue: Enqueue) -> None:
    with received(task_enqueued) as sent:
        result = enqueue(tasks.noop, 1)
    [signal] = sent
    assert signal["sender"] is backend_class()
    assert signal["task_result"] == result


def test_the_signal_is_sent_when_the_row_is_there(enqueue: Enqueue) -> None:
    counts = []

    def count(**kwargs: Any) -> None:
        counts.append(TaskRun.objects.count())

    task_enqueued.connect(count)
    try:
        enqueue(tasks.noop)
    finally:
        task_enqueued.disconnect(count)
    assert counts == [1]


def test_a_receiver_that_raises_changes_nothing(enqueue: Enqueue) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError

    task_enqueued.connect(fail)
    try:
        result = enqueue(tasks.noop)
    finally:
        task_enqueued.disconnect(fail)
    assert run_of(result).state == RunState.READY


def test_the_log_says_so(enqueue: Enqueue, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, LOGGER_NAME):
        result = enqueue(tasks.noop)
    [record] = caplog.records
    assert record.levelno == logging.DEBUG
    assert "enqueued" in record.getMessage()
    assert result.id in record.getMessage()


def test_a_result_is_a_snapshot(enqueue: Enqueue) -> None:
    result = enqueue(tasks.noop)
    rewrite(result, state=RunState.RUNNING)
    assert result.status is TaskResultStatus.READY
    result.refresh()
    assert result.status is TaskResultStatus.RUNNING


def test_two_runs_of_one_task_are_two(enqueue: Enqueue) -> None:
    assert enqueue(tasks.noop, 1).id != enqueue(tasks.noop, 1).id
    assert TaskRun.objects.count() == 2


def test_what_is_refused_sends_and_logs_nothing(
    enqueue: Enqueue, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG, LOGGER_NAME),
        received(task_enqueued) as sent,
        refused(TypeError),
    ):
        enqueue(tasks.noop, object())
    assert (sent, caplog.records) == ([], [])


@pytest.mark.django_db(transaction=True)
class TestInATransaction:
    def test_a_run_is_written_at_once_and_seen_by_others_on_commit(self, enqueue: Enqueue) -> None:
        with transaction.atomic():
            result = enqueue(tasks.noop)
            assert run_of(result).state == RunState.READY
            assert elsewhere(TaskRun.objects.count) == 0
        assert elsewhere(TaskRun.objects.count) == 1

    def test_a_run_goes_with_the_transaction_that_is_rolled_back(self, enqueue: Enqueue) -> None:
        with transaction.atomic():
            enqueue(tasks.noop)
            transaction.set_rollback(True)
        assert TaskRun.objects.count() == 0

    def test_a_refusal_does_not_break_the_transaction(self, enqueue: Enqueue) -> None:
        with transaction.atomic():
            with pytest.raises(TypeError):
                enqueue(tasks.noop, object())
            enqueue(tasks.noop)
        assert TaskRun.objects.count() == 1

    def test_a_task_enqueues_another(self, enqueue: Enqueue) -> None:
        outer = executed(enqueue(tasks.enqueue_noop, "inner"))
        inner = tasks.noop.get_result(outer.return_value)
        assert inner.status is TaskResultStatus.SUCCESSFUL
        assert inner.args == ["inner"]
