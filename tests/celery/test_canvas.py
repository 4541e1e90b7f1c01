"""Signatures, chain, group and chord: they are stored as workflows."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from taskworks import Workflow
from taskworks.celery import (
    AsyncResult,
    GroupResult,
    NotCarried,
    chain,
    chord,
    group,
    signature,
    states,
)
from taskworks.exceptions import InvalidWorkflow
from taskworks.models import TaskRun
from taskworks.models import Workflow as Row
from tests.behavior import run_worker
from tests.celery import tasks
from tests.celery.tasks import add, double, fail_once, next_day, note, total, triple

pytestmark = pytest.mark.django_db(transaction=True)


def executed(result: Any) -> Any:
    run_worker()
    return result.get(timeout=10)


def test_a_signature_is_enqueued_as_a_run() -> None:
    before = add.s(2)
    assert executed(before.delay(1)) == 3
    assert before(1) == 3
    assert before.clone((5,)).apply().get() == 7
    assert (before.task, before.args, before.kwargs, before.immutable) == (
        add.name,
        (2,),
        {},
        False,
    )
    run = add.signature((1, 2), countdown=60, queue="imports").apply_async(priority=9)
    stored = TaskRun.objects.get(id=run.id)
    assert (stored.queue_name, stored.priority, stored.workflow) == ("imports", 100, None)
    assert signature("tests.celery.tasks.add", (1,), {"b": 5}).apply().get() == 6
    assert repr(add.s(1, b=2)) == "tests.celery.tasks.add(1, b=2)"


def test_a_chain_passes_results_on() -> None:
    result = chain(add.s(1, 2), double.s(), add.s(b=10)).delay()
    assert isinstance(result, AsyncResult)
    assert (result.state, TaskRun.objects.count(), Row.objects.get().name) == (
        "PENDING",
        3,
        "chain",
    )
    run_worker()
    assert (result.get(), result.state) == (16, states.SUCCESS)
    assert isinstance(result.parent, AsyncResult)
    assert (result.parent.get(), result.parent.parent.get()) == (6, 3)  # type: ignore[union-attr]
    assert AsyncResult(result.id).get() == 16
    steps = [step.name for step in Workflow.get_result(str(Row.objects.get().id)).steps()]
    assert steps == ["add", "double", "add 2"]


def test_what_is_immutable_takes_no_result() -> None:
    tasks.calls.clear()
    (add.s(1, 2) | note.si("done") | note.s("said")).delay()
    run_worker("--threads", "1")
    assert tasks.calls == [("done",), (None, "said")]


def test_results_keep_their_types() -> None:
    result = (next_day.s(date(2026, 12, 30)) | next_day.s() | next_day.s())()
    assert executed(result) == date(2027, 1, 2)
    assert "next_day" in str(result.args)


def test_arguments_of_the_call_come_first() -> None:
    assert executed(chain(add.s(2), double.s()).delay(1)) == 6


def test_a_coroutine_function_is_a_part() -> None:
    assert executed(chain(add.s(1), triple.s(), double.s()).delay()) == 12


def test_a_group() -> None:
    result = group(add.s(n, n) for n in range(4)).apply_async()
    assert isinstance(result, GroupResult)
    assert (len(result), result.ready(), result.completed_count()) == (4, False, 0)
    assert executed(result) == [0, 2, 4, 6]
    assert (result.successful(), result.failed(), result.completed_count()) == (True, False, 4)
    assert [one.get() for one in result] == result.join() == [0, 2, 4, 6]


def test_a_group_of_different_tasks_keeps_its_order() -> None:
    result = group(add.s(1), double.s(5), add.s(2), chain(add.s(3), double.s())).delay()
    assert executed(result) == [2, 10, 3, 8]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ([add.s(1, 1), add.s(2, 2)], 6),
        ([add.s(1, 1), double.s(3), chain(add.s(1), double.s())], 12),
        ([], 0),
    ],
)
def test_a_chord(header: Any, expected: int) -> None:
    result = chord(header)(total.s())
    assert result.state == states.PENDING
    assert executed(result) == expected


def test_what_follows_a_group_is_a_chord() -> None:
    flow = chain(add.s(1), group(add.s(1), double.s()), total.s(), double.s())
    result = flow.delay()
    assert executed(result) == 14
    assert isinstance(result.parent.parent, GroupResult)  # type: ignore[union-attr]
    again = chain(group([add.s(1), add.s(2)]), group([total.s(), total.s()])).delay()
    assert executed(again) == [5, 5]


def test_it_is_stored_if_the_transaction_commits() -> None:
    with transaction.atomic():
        chain(add.s(1), double.s()).delay()
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()
    assert not Row.objects.exists()


def test_options() -> None:
    result = chain(add.s(1), double.s().set(queue="imports")).apply_async(countdown=60)
    assert TaskRun.objects.get(task_path=add.module_path).run_after is not None
    assert TaskRun.objects.get(task_path=double.module_path).queue_name == "imports"
    assert result.queue == "imports"
    body = chord([add.s(1)])(total.s(), queue="mail")
    assert body.queue == "mail"
    result = group(add.s(1), add.s(2)).apply_async(queue="imports")
    assert {one.queue for one in result} == {"imports"}


def test_a_failure_is_raised_by_what_follows_it() -> None:
    result = chain(tasks.missing.s("blue"), note.s(), note.s()).delay()
    run_worker()
    assert result.state == states.PENDING
    with pytest.raises(KeyError, match="blue"):
        result.get(timeout=10)
    assert isinstance(result.get(timeout=10, propagate=False), KeyError)
    body = chord([add.s(1), tasks.missing.s("green")])(total.s())
    run_worker()
    with pytest.raises(KeyError, match="green"):
        body.get(timeout=10)


def test_a_retry_lets_it_go_on() -> None:
    tasks.calls.clear()
    result = chain(fail_once.s(3), double.s()).delay()
    run_worker()
    assert result.parent is not None
    assert result.parent.failed()
    result.parent.run.retry()  # type: ignore[union-attr]
    assert executed(result) == 6


def test_a_group_is_revoked() -> None:
    result = group(add.s(1), add.s(2)).delay()
    result.revoke()
    assert [one.state for one in result] == [states.REVOKED] * 2


def test_apply_executes_it_here() -> None:
    assert chain(add.s(1), double.s(), group(add.s(1), add.s(2))).apply().get() == [5, 6]
    assert chord([add.s(1), add.s(2)], total.s()).apply().get() == 5
    with pytest.raises(KeyError):
        chain(tasks.missing.s("x"), note.s()).apply()
    assert not TaskRun.objects.exists()


def test_the_immediate_backend_executes_it_where_it_is_called(settings: Any) -> None:
    immediate = {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []}
    settings.TASKS = {**settings.TASKS, "default": immediate}
    assert chain(add.s(1), double.s().set(countdown=60)).delay().get() == 4
    assert chord([add.s(1), add.s(2)])(total.s()).get() == 5


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: chain(add), TypeError, r"made of signatures such as task.s\(1\), and not of"),
        (lambda: group([1, 2]), TypeError, "and not of 1"),
        (chain, TypeError, "at least one signature"),
        (lambda: chord([add.s(1)]).delay(), TypeError, "needs a body"),
        (lambda: chord([add.s(1)])(total.s(), 5), TypeError, "called with its body"),
        (lambda: add.s(1) | 5, TypeError, "unsupported operand"),
        (lambda: signature("nowhere.task"), TypeError, "Is the module of the task imported"),
        (lambda: add.s(1).link(double.s()), NotCarried, r"Signature.link\(\) is not carried. Use"),
        (lambda: group(add.s(1)).on_error(double.s()), NotCarried, "group.link_error"),
        (lambda: add.s(1).set(link=double.s()), NotCarried, "link"),
        (lambda: add.chunks([], 2), NotCarried, "Of Celery's canvas, signatures, chain, group"),
        (lambda: add.map([1]), NotCarried, "map"),
        (lambda: add.s(1).set(count_down=2), TypeError, "'countdown'"),
        (lambda: chain(add.s(), double.s()).delay(), TypeError, "missing a required argument: 'a'"),
        (lambda: chain(add.s(1), double.s(5)).delay(), TypeError, "too many positional arguments"),
        (lambda: chain(add.s(object()), double.s()).delay(), TypeError, "not JSON"),
        (
            lambda: chain(add.s(1), double.s().set(eta=datetime(2100, 1, 1, tzinfo=UTC))).delay(),
            InvalidWorkflow,
            "run_after must be a timedelta",
        ),
        (
            lambda: chain(add.s(1), tasks.one_at_a_time.si("x")).delay(),
            InvalidWorkflow,
            "is unique",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    make: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        make()
    assert not TaskRun.objects.exists()


def test_a_result_that_nobody_can_read_fails_with_a_sentence() -> None:
    result = note.delay({"__type__": "taskworks-result", "__value__": "add"})
    run_worker()
    with pytest.raises(ValueError, match="this run is not one of a workflow"):
        result.get()


def test_get_waits_no_longer_than_its_timeout() -> None:
    with pytest.raises(TimeoutError):
        chain(add.s(1), double.s()).delay().get(timeout=0.05)


def test_a_delay_counts_from_when_it_need_not_wait() -> None:
    result = chain(add.s(1), double.s().set(countdown=3600)).delay()
    run_worker()
    run = TaskRun.objects.get(id=result.id)
    assert timedelta(minutes=59) < run.available_at - run.enqueued_at < timedelta(minutes=70)
