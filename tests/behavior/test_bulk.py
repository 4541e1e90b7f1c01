"""``enqueue_many``: all, in order and in one transaction, or none."""

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResult, TaskResultStatus, task_backends
from taskworks.exceptions import InvalidTask
from taskworks.models import RunState, TaskRun
from taskworks.signals import task_enqueued
from taskworks.store import new_runs as module
from taskworks.store import store
from tests import tasks
from tests.behavior import backend_class, received, refused, run_of, run_worker
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

EnqueueMany = Callable[..., list[TaskResult]]
Pair = namedtuple("Pair", "a b")


@pytest.fixture(params=["sync", "async"])
def enqueue_many(request: pytest.FixtureRequest) -> EnqueueMany:
    """Both ways: ``enqueue_many(task, items)``."""

    def enqueue_many(task: Any, items: Any) -> list[TaskResult]:
        if request.param == "sync":
            return task.enqueue_many(items)
        return async_to_sync(task.aenqueue_many)(items)

    return enqueue_many


@pytest.fixture(params=["default", "immediate", "dummy"])
def alias(request: pytest.FixtureRequest) -> str:
    """Of every backend."""
    alias: str = request.param
    yield alias
    if alias == "dummy":
        task_backends["dummy"].clear()


def stored(alias: str) -> int:
    return TaskRun.objects.count() if alias == "default" else len(task_backends["dummy"].results)


class TestItems:
    @pytest.mark.parametrize(
        ("item", "args", "kwargs"),
        [
            ((1, 2), [1, 2], {}),
            ([1, 2], [1, 2], {}),
            (Pair(1, 2), [1, 2], {}),
            ({"a": 1, "b": 2}, [], {"a": 1, "b": 2}),
            (OrderedDict(b=2, a=1), [], {"b": 2, "a": 1}),
            ((), [], {}),
            ([], [], {}),
            ({}, [], {}),
            (((1, (2,)),), [[1, [2]]], {}),
        ],
    )
    def test_are_arguments(
        self, enqueue_many: EnqueueMany, alias: str, item: Any, args: Any, kwargs: Any
    ) -> None:
        [result] = enqueue_many(tasks.echo.using(backend=alias), [item])
        assert (result.args, result.kwargs) == (args, kwargs)
        if alias == "default":
            assert (run_of(result).args, run_of(result).kwargs) == (args, kwargs)

    @pytest.mark.parametrize("item", ["ab", b"ab", 5, None, {1, 2}, object(), (n for n in (1, 2))])
    def test_that_are_none_are_refused(
        self, enqueue_many: EnqueueMany, alias: str, item: Any
    ) -> None:
        with (
            received(task_enqueued) as sent,
            pytest.raises(
                TypeError, match=r"^Item 1 of enqueue_many\(\) is .*: it must be a tuple or a list"
            ),
        ):
            enqueue_many(tasks.echo.using(backend=alias), [(1,), item, (3,)])
        assert sent == []

    @pytest.mark.parametrize(
        ("item", "error", "place"),
        [
            ((object(),), TypeError, r"item 2: args\[0\]"),
            ({"a": [1, float("nan")]}, ValueError, r"item 2: kwargs\['a'\]\[1\]"),
            (("\0",), ValueError, r"item 2: args\[0\]"),
            ({"a": {1: 2}}, TypeError, r"item 2: kwargs\['a'\]"),
            ({5: 1}, TypeError, "item 2: kwargs"),
        ],
    )
    def test_that_are_no_json_leave_nothing_behind(
        self, enqueue_many: EnqueueMany, alias: str, item: Any, error: Any, place: str
    ) -> None:
        with received(task_enqueued) as sent, pytest.raises(error, match=place):
            enqueue_many(tasks.echo.using(backend=alias), [(1,), (2,), item, (4,)])
        assert sent == []
        assert stored(alias) == 0

    def test_of_one_are_named_like_any(self) -> None:
        with refused(TypeError, "at item 0: args[0]"):
            tasks.echo.enqueue_many([(object(),)])

    def test_that_are_too_large_are_refused(self, settings: Any) -> None:
        settings.TASKWORKS = {**settings.TASKWORKS, "MAX_JSON_SIZE": 100}
        with refused(ValueError, "item 1: args takes"):
            tasks.echo.enqueue_many([(1,), ("x" * 200,)])

    def test_may_come_from_an_iterator(self, enqueue_many: EnqueueMany, alias: str) -> None:
        results = enqueue_many(tasks.echo.using(backend=alias), ((n,) for n in range(3)))
        assert [result.args for result in results] == [[0], [1], [2]]

    def test_may_come_from_an_iterator_that_breaks(
        self, enqueue_many: EnqueueMany, alias: str
    ) -> None:
        def items() -> Iterator[Any]:
            yield (1,)
            raise LookupError("no more")

        with pytest.raises(LookupError):
            enqueue_many(tasks.echo.using(backend=alias), items())
        assert stored(alias) == 0

    def test_may_be_none(self, enqueue_many: EnqueueMany, alias: str) -> None:
        with CaptureQueriesContext(connection) as captured:
            assert enqueue_many(tasks.echo.using(backend=alias), []) == []
        assert captured.captured_queries == []


class TestResults:
    def test_are_those_of_single_enqueueing(self, enqueue_many: EnqueueMany) -> None:
        changed = tasks.echo.using(priority=5, queue_name="mail", max_attempts=3, timeout=60)
        for result in enqueue_many(changed, [(1,), {"a": 2}]):
            assert result.task == changed
            assert result.status is TaskResultStatus.READY
            assert tasks.echo.get_result(result.id) == result
            run = run_of(result)
            assert (run.priority, run.queue_name, run.state) == (5, "mail", RunState.READY)
            assert run.options == {"max_attempts": 3, "timeout": 60}

    def test_are_in_order(self, enqueue_many: EnqueueMany, alias: str) -> None:
        results = enqueue_many(tasks.echo.using(backend=alias), [(n,) for n in range(100)])
        assert [result.args for result in results] == [[n] for n in range(100)]
        assert len({result.id for result in results}) == 100

    def test_are_executed(self, enqueue_many: EnqueueMany) -> None:
        results = enqueue_many(tasks.add, [(1, 2), {"a": 3, "b": 4}, [5, 6]])
        run_worker()
        for result in results:
            result.refresh()
        assert [result.return_value for result in results] == [3, 7, 11]

    def test_of_an_immediate_backend_have_finished(self, enqueue_many: EnqueueMany) -> None:
        results = enqueue_many(tasks.add.using(backend="immediate"), [(1, 2), (3, 4)])
        assert [result.return_value for result in results] == [3, 7]

    def test_of_a_dummy_backend_are_remembered(self, enqueue_many: EnqueueMany) -> None:
        results = enqueue_many(tasks.add.using(backend="dummy"), [(1, 2), (3, 4)])
        assert [kept.id for kept in task_backends["dummy"].results] == [r.id for r in results]
        task_backends["dummy"].clear()

    def test_may_wait_for_their_time(self, enqueue_many: EnqueueMany) -> None:
        hour = timedelta(hours=1)
        results = enqueue_many(tasks.echo.using(run_after=hour), [(1,), (2,)])
        for result in results:
            run = run_of(result)
            assert run.state == RunState.SCHEDULED
            assert run.run_after == run.available_at == run.enqueued_at + hour
            assert result.task.run_after == run.run_after
        run_worker()
        assert TaskRun.objects.successful().count() == 0

    def test_have_each_its_own_metadata(self, enqueue_many: EnqueueMany) -> None:
        results = enqueue_many(tasks.echo.using(metadata={"a": []}), [(1,), (2,)])
        results[0].metadata["a"].append(1)
        assert results[1].metadata == {"a": []}
        assert run_of(results[1]).metadata == {"a": []}


def test_each_run_has_one_signal(enqueue_many: EnqueueMany) -> None:
    counts = []
    with received(task_enqueued) as sent:
        results = enqueue_many(tasks.echo, [(n,) for n in range(5)])
        counts.append(TaskRun.objects.count())
    assert [signal["task_result"] for signal in sent] == results
    assert {signal["sender"] for signal in sent} == {backend_class()}


def test_the_signal_is_sent_when_all_are_there(enqueue_many: EnqueueMany) -> None:
    counts: list[int] = []

    def count(**kwargs: Any) -> None:
        counts.append(TaskRun.objects.count())

    task_enqueued.connect(count)
    try:
        enqueue_many(tasks.echo, [(n,) for n in range(3)])
    finally:
        task_enqueued.disconnect(count)
    assert counts == [3, 3, 3]


def test_a_task_that_is_refused_leaves_nothing_behind(settings: Any) -> None:
    made = tasks.echo.using(queue_name="mail")
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["another"]}}
    with refused(InvalidTask, "'mail'"):
        made.enqueue_many([(1,), (2,)])


def test_five_thousand_runs_are_a_few_statements() -> None:
    with CaptureQueriesContext(connection) as captured:
        results = tasks.echo.enqueue_many([(n, "ü" * 10) for n in range(5000)])
    inserts = [query for query in captured.captured_queries if "INSERT" in query["sql"]]
    assert 1 <= len(inserts) <= 5
    assert len(captured) <= 10
    assert TaskRun.objects.count() == len(results) == 5000
    assert run_of(results[4999]).args == [4999, "ü" * 10]


@pytest.mark.parametrize("count", [1999, 2000, 2001, 4000])
def test_no_run_is_lost_between_two_statements(count: int) -> None:
    results = tasks.echo.enqueue_many([(n,) for n in range(count)])
    args = dict(TaskRun.objects.values_list("id", "args"))
    assert {str(id_): given for id_, given in args.items()} == {r.id: r.args for r in results}


@pytest.mark.parametrize("large", ["args", "metadata"])
def test_large_runs_are_enqueued_however_many_they_are(large: str) -> None:
    """In one statement these would be more than a server takes; quotes are doubled twice."""
    text = '"' * 5_000
    if large == "args":
        results = tasks.echo.enqueue_many([(n, text) for n in range(2000)])
    else:
        made = tasks.echo.using(metadata={"text": text})
        results = made.enqueue_many([(n,) for n in range(2000)])
    assert TaskRun.objects.count() == len({result.id for result in results}) == 2000
    assert run_of(results[-1]).args == results[-1].args
    assert results[-1].args[0] == 1999


def test_a_run_as_large_as_may_be_is_a_statement_of_its_own() -> None:
    text = '"' * 500_000
    made = tasks.echo.using(metadata={"text": text})
    results = made.enqueue_many([{"a": text}] * 3)
    assert [run_of(result).kwargs for result in results] == [{"a": text}] * 3


class TestInATransaction:
    def test_runs_are_seen_by_others_on_commit(self, enqueue_many: EnqueueMany) -> None:
        with transaction.atomic():
            enqueue_many(tasks.echo, [(1,), (2,)])
            assert TaskRun.objects.count() == 2
            assert elsewhere(TaskRun.objects.count) == 0
        assert elsewhere(TaskRun.objects.count) == 2

    def test_runs_go_with_the_transaction_that_is_rolled_back(
        self, enqueue_many: EnqueueMany
    ) -> None:
        with transaction.atomic():
            enqueue_many(tasks.echo, [(1,), (2,)])
            transaction.set_rollback(True)
        assert TaskRun.objects.count() == 0

    def test_a_refusal_does_not_break_the_transaction(self, enqueue_many: EnqueueMany) -> None:
        with transaction.atomic():
            with pytest.raises(TypeError):
                enqueue_many(tasks.echo, [(1,), (object(),)])
            enqueue_many(tasks.echo, [(1,), (2,)])
        assert TaskRun.objects.count() == 2


def test_a_statement_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second chunk has an id that is there already."""
    items = [(n,) for n in range(2001)]
    monkeypatch.setattr(module, "new_run_ids", lambda count: [*range(1, 2001), 1])
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        tasks.echo.enqueue_many(items)
    assert TaskRun.objects.count() == 0


def test_many_are_claimed_in_order() -> None:
    results = tasks.echo.enqueue_many([(n,) for n in range(10)])
    order = TaskRun.objects.order_by("rank", "available_at", "id").values_list("id", flat=True)
    assert [*map(str, order)] == [result.id for result in results]
    assert store().ready_queues("default") == ["default"]


def test_its_results_are_as_the_class_makes_them() -> None:
    result, _ = tasks.echo.enqueue_many([([1, {"a": [2]}],), ("x",)])
    names = [field.name for field in fields(TaskResult) if field.init]
    made: TaskResult = TaskResult(**{name: getattr(result, name) for name in names})
    assert made == result
    assert [type(getattr(made, name)) for name in names] == [
        type(getattr(result, name)) for name in names
    ]
    assert result._return_value is None


def test_who_changes_a_result_that_waits_for_the_commit_changes_no_run() -> None:
    with transaction.atomic():
        result = tasks.echo.enqueue_on_commit([1, 2])
        result.args[0].append(3)
        result.args.append(4)
    assert TaskRun.objects.get().args == [[1, 2]]


def test_who_changes_an_argument_that_waits_for_the_commit_changes_no_run() -> None:
    given = ["a"]
    with transaction.atomic():
        tasks.echo.enqueue_on_commit(given)
        given.append("b")
    assert TaskRun.objects.get().args == [["a"]]
