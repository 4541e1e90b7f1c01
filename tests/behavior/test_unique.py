"""``unique``: what a task is unique by, what ``enqueue`` returns, and what is refused."""

import copy
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import AlreadyEnqueued, Debounce, Unique, task_backends
from taskworks.backends import unique_tasks
from taskworks.exceptions import InvalidTask, TaskResultDoesNotExist
from taskworks.models import RunState, TaskRun, UniqueKey
from taskworks.signals import task_cancelled, task_enqueued
from taskworks.testing import run_tasks
from tests import tasks
from tests.behavior import unique
from tests.behavior.unique import by_all, index, plain, refused, replaced, superseded, sync

pytestmark = pytest.mark.django_db(transaction=True)


# What is returned.


def test_enqueue_returns_the_run_that_stands() -> None:
    first, second = sync.enqueue(1), sync.enqueue(1, reason="again")
    assert (first.is_new, second.is_new) == (True, False)
    assert second.id == first.id
    assert second.args == [1]
    assert second == sync.get_result(first.id)


def test_so_does_aenqueue() -> None:
    first = sync.enqueue(1)
    second = async_to_sync(sync.aenqueue)(1)
    assert (second.id, second.is_new) == (first.id, False)


def test_once_it_has_ended_a_new_run_is_stored() -> None:
    first = sync.enqueue(1)
    run_tasks()
    second = sync.enqueue(1)
    assert second.is_new
    assert second.id != first.id


def test_any_other_result_is_of_a_new_run() -> None:
    result = tasks.noop.enqueue()
    assert result.is_new
    assert tasks.noop.get_result(result.id).is_new


def test_enqueue_many_returns_one_result_an_item() -> None:
    stands = sync.enqueue(2)
    results = sync.enqueue_many([(1,), (2,), (1,), {"customer": 1, "reason": "x"}, (3,)])
    assert [result.is_new for result in results] == [True, False, False, False, True]
    assert results[1].id == stands.id
    assert len({results[at].id for at in (0, 2, 3)}) == 1
    assert TaskRun.objects.count() == 3


def test_replaced_arguments_are_those_of_the_result() -> None:
    first = replaced.enqueue(1, "old")
    second = replaced.using(priority=5).enqueue(1, reason="new")
    assert (second.id, second.args, second.kwargs) == (first.id, [1], {"reason": "new"})
    assert second.task.priority == 5


def test_refuse_raises_with_the_result() -> None:
    first = refused.enqueue(1)
    with pytest.raises(AlreadyEnqueued, match=f"was enqueued before: {first.id}") as error:
        refused.enqueue(1)
    assert error.value.result == first
    with pytest.raises(AlreadyEnqueued, match=r"^item 1: A run") as error:
        refused.enqueue_many([(2,), (1,)])
    assert error.value.result == first
    with pytest.raises(AlreadyEnqueued, match=r"^item 2: A run") as error:
        refused.enqueue_many([(2,), (3,), (2,)])
    assert error.value.result is None
    assert TaskRun.objects.count() == 1


class Key(UUID):
    """Counts how often keys are compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return super().__eq__(other)

    __hash__ = UUID.__hash__


def test_equal_items_are_found_without_comparing_each_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unique_tasks, "unique_key", lambda task, args, kwargs: Key(int=args[0]))
    with pytest.raises(AlreadyEnqueued, match=r"^item 300: "):
        refused.enqueue_many([(number,) for number in [*range(300), 7]])
    assert Key.compared < 300


def test_supersede_cancels_and_says_so() -> None:
    cancelled: list[Any] = []

    def hear(task_result: Any, **kwargs: Any) -> None:
        cancelled.append(task_result)

    task_cancelled.connect(hear)
    try:
        first, second = superseded.enqueue(1), superseded.enqueue(1)
    finally:
        task_cancelled.disconnect(hear)
    assert second.is_new
    first.refresh()
    assert first.is_cancelled
    assert "A newer run with the same unique key" in first.errors[0].traceback
    assert [result.id for result in cancelled] == [first.id]


def test_only_new_runs_are_announced() -> None:
    heard: list[str] = []

    def hear(task_result: Any, **kwargs: Any) -> None:
        heard.append(task_result.id)

    task_enqueued.connect(hear)
    try:
        first, _ = sync.enqueue(1), sync.enqueue(1)
        results = sync.enqueue_many([(1,), (2,), (2,)])
    finally:
        task_enqueued.disconnect(hear)
    assert heard == [first.id, results[1].id]


def test_debounce_puts_off_and_takes_the_latest() -> None:
    first = index.enqueue(1, 1)
    second = index.enqueue(doc=1, version=2)
    assert second.id == first.id
    run = TaskRun.objects.get()
    assert (run.state, run.args, run.kwargs) == ("scheduled", [], {"doc": 1, "version": 2})
    assert run.available_at - run.enqueued_at >= timedelta(seconds=30)


def test_a_debounced_task_can_be_built_again() -> None:
    for enqueued in (index.enqueue(1, 1), index.enqueue(1, 2)):
        stored: Any = index.get_result(enqueued.id)
        for result in (enqueued, stored):
            assert copy.deepcopy(result) == result
            assert pickle.loads(pickle.dumps(result)) == result
            assert result.task.using(priority=5).priority == 5
            assert result.task.run_after is None


# On commit.


def test_on_commit_is_settled_at_the_commit() -> None:
    first = sync.enqueue(1)
    with transaction.atomic():
        new, met = sync.enqueue_on_commit(2), sync.enqueue_on_commit(1)
        assert (new.is_new, met.is_new) == (None, None)
        assert met.id != first.id
        with pytest.raises(TaskResultDoesNotExist):
            met.refresh()
    assert (new.is_new, met.is_new) == (True, False)
    assert met.id == first.id
    for result in (new, met):
        assert result == sync.get_result(result.id)
        result.refresh()
        assert result == sync.get_result(result.id)


def test_on_commit_a_run_that_was_met_is_told_as_it_is() -> None:
    first = sync.using(priority=7, queue_name="mail", metadata={"of": "first"}).enqueue(1)
    with transaction.atomic():
        met = sync.enqueue_on_commit(1)
    assert met == sync.get_result(first.id)
    assert (met.task.priority, met.enqueued_at) == (7, first.enqueued_at)
    backend: Any = task_backends["default"]
    result, is_new = backend.enqueue_once(sync, [1], {}, None)
    assert (result, is_new) == (sync.get_result(first.id), False)


def test_on_commit_cannot_refuse() -> None:
    with transaction.atomic(), pytest.raises(InvalidTask, match="nobody could catch"):
        refused.enqueue_on_commit(1)
    refused.enqueue_on_commit(1)  # at once, without a transaction
    with pytest.raises(AlreadyEnqueued):
        refused.enqueue_on_commit(1)


def test_a_rolled_back_one_holds_no_key() -> None:
    with transaction.atomic():
        sync.enqueue(1)
        transaction.set_rollback(True)
    assert sync.enqueue(1).is_new


# What a run is unique by.


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: sync.enqueue(1), lambda: sync.enqueue(customer=1)),
        (lambda: sync.enqueue(1), lambda: sync.using(queue_name="mail").enqueue(1)),
        (lambda: by_all.enqueue(1), lambda: by_all.enqueue(b=2, a=1)),
        (lambda: by_all.enqueue(1, 2, 3), lambda: by_all.enqueue(1, 2, 3)),
        (
            lambda: sync.enqueue({"a": 1, "b": [{"c": 2, "d": 3}]}),
            lambda: sync.enqueue({"b": [{"d": 3, "c": 2}], "a": 1}),
        ),
        (lambda: sync.enqueue(None), lambda: sync.enqueue(customer=None)),
        (lambda: unique.with_context.enqueue("x"), lambda: unique.with_context.enqueue(name="x")),
    ],
)
def test_one_run(one: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Case 15: also with nested arguments, in whatever order."""
    assert one().id == other().id


ODD_KEYS = ["*", "'", "%", "'t%'", "x" * 4096, "\N{SNOWMAN}\U0001f600", " ", "None", "null"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: sync.enqueue(1), lambda: sync.enqueue(2)),
        (lambda: sync.enqueue(1), lambda: sync.enqueue("1")),
        (lambda: sync.enqueue(1), lambda: sync.enqueue(None)),
        (lambda: sync.enqueue(1), lambda: sync.enqueue(True)),
        (lambda: sync.enqueue(1), lambda: refused.enqueue(1)),
        (lambda: by_all.enqueue(1), lambda: by_all.enqueue(1, 3)),
        (lambda: by_all.enqueue(1, 2), lambda: by_all.enqueue(1, 2, 3)),
        (lambda: by_all.enqueue(1, c=3), lambda: by_all.enqueue(1, c=4)),
        (lambda: sync.enqueue(1), lambda: sync.using(unique=Unique(key=1)).enqueue(1)),
    ],
)
def test_two_runs(one: Callable[[], Any], other: Callable[[], Any]) -> None:
    assert one().id != other().id


def test_odd_keys_are_keys_like_others() -> None:
    """Case 24."""
    ids = [sync.enqueue(key).id for key in [*ODD_KEYS, "", None]]
    own = [plain.using(unique=Unique(key=key)).enqueue(1).id for key in [*ODD_KEYS, None, 0]]
    assert len({*ids, *own}) == 2 * len(ODD_KEYS) + 4
    assert [sync.enqueue(key).id for key in [*ODD_KEYS, "", None]] == ids
    again = [plain.using(unique=Unique(key=key)).enqueue(2).id for key in [*ODD_KEYS, None, 0]]
    assert again == own


# What is refused.


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"key": ""}, 'key must not be ""'),
        ({"key": "a\0b"}, "key cannot be used: A NUL character"),
        ({"key": "\ud800"}, "lone surrogate"),
        ({"key": 2**70}, "An integer of more than 64 bits"),
        ({"key": object()}, "key must be a string, an integer or None"),
        ({"key": True}, "key must be a string, an integer or None"),
        ({"key": 1.5}, "key must be a string, an integer or None"),
        ({"while_": "running"}, "while_ must be one of 'unfinished', 'waiting', not 'running'"),
        ({"on_conflict": "ignore"}, "on_conflict must be one of"),
        ({"on_conflict": None}, "on_conflict must be one of"),
        ({"period": 0}, "period must be greater than 0"),
        ({"period": -1}, "period must be seconds or a timedelta"),
        ({"period": "1h"}, "period must be seconds or a timedelta"),
        ({"period": 60, "on_conflict": "supersede"}, "does not fit a period"),
    ],
)
def test_what_unique_refuses(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Unique(**options)


def test_what_else_it_refuses() -> None:
    with pytest.raises(ValueError, match="names of parameters, not 1"):
        Unique(1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a field twice: a, a"):
        Unique("a", "a")
    with pytest.raises(ValueError, match="either the names of fields or a key"):
        Unique("a", key="b")
    with pytest.raises(ValueError, match="longest=10 must not be less than wait=30"):
        Debounce(wait=30, longest=10)
    with pytest.raises(ValueError, match="wait must be greater than 0"):
        Debounce(wait=0, longest=10)
    with pytest.raises(ValueError, match="wait must be seconds or a timedelta, not None"):
        Debounce(wait=None, longest=10)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Unique("custmer"), r"plain cannot be unique by 'custmer'.* Did you mean 'customer'\?"),
        (Unique(), "plain cannot be unique by 'mode', whose default <Mode.QUICK: 'quick'> is not"),
        ("customer", r"unique must be Unique\(...\) or Debounce\(...\), not 'customer'"),
        (Unique("customer", period=timedelta(days=15)), "deleted after 14 days"),
    ],
)
def test_what_a_task_refuses(given: Any, sentence: str) -> None:
    with pytest.raises(InvalidTask, match=sentence):
        plain.using(unique=given)


def test_debounce_says_itself_when_a_run_is_due() -> None:
    with pytest.raises(InvalidTask, match="run_after does not fit Debounce"):
        index.using(run_after=60)  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match="run_after does not fit Debounce"):
        index.using(run_after=timedelta(seconds=60))


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    with pytest.raises(TypeError, match="sync cannot be called like this: missing a required"):
        sync.enqueue()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="item 1: sync cannot be called like this"):
        sync.enqueue_many([(1,), (1, 2, 3)])
    with pytest.raises(TypeError, match="Unsupported type"):
        sync.enqueue(object())
    assert not TaskRun.objects.exists()
    assert not UniqueKey.objects.exists()


def test_a_run_that_follows_another_may_be_kept_away_and_replaces_none() -> None:
    backend: Any = task_backends["default"]
    other = tasks.noop.enqueue()
    first = backend.enqueue_after(sync, [1], {}, other)
    assert TaskRun.objects.get(id=first.id).state == RunState.BLOCKED
    assert backend.enqueue_after(sync, [1], {}, other).id == first.id
    assert sync.enqueue(1).id == first.id
    for task in (replaced, superseded):
        with pytest.raises(InvalidTask, match=r"on_conflict='(replace|supersede)' does not fit"):
            backend.enqueue_after(task, [1], {}, other)
    with pytest.raises(InvalidTask, match="Debounce does not fit"):
        backend.enqueue_after(index, [1, 1], {}, other)
    run_tasks()
    assert backend.get_result(first.id).is_finished


# The option.


def test_it_is_copied_and_pickled_as_any_value() -> None:
    for given in (Unique("a", period=5), Unique(key=None), Debounce("a", wait=1, longest=2)):
        assert pickle.loads(pickle.dumps(given)) == copy.deepcopy(given) == given
        assert hash(copy.copy(given)) == hash(given)
    assert pickle.loads(pickle.dumps(sync)) == sync


def test_keys_of_one_s_own_fill_no_cache() -> None:
    backend: Any = task_backends["default"]
    before = backend._templates.cache_info().currsize
    for number in range(3):
        plain.using(unique=Unique(key=number)).enqueue(1)
    assert backend._templates.cache_info().currsize <= before + 1


def test_who_is_not_unique_pays_nothing() -> None:
    tasks.noop.enqueue()  # fills the caches
    assert [verb_and_table(sql) for sql in statements_of(tasks.noop.enqueue)] == ["INSERT run"]
    many = statements_of(lambda: tasks.noop.enqueue_many([(1,), (2,)]))
    clock = [] if connection.vendor == "sqlite" else ["SELECT clock"]
    assert [verb_and_table(sql) for sql in many] == [*clock, "INSERT run"]


def statements_of(do: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as asked:
        do()
    # Workers are notified now and then.
    return [sql for query in asked if "PG_NOTIFY" not in (sql := query["sql"])]


def verb_and_table(sql: str) -> str:
    table = "key" if "uniquekey" in sql else "run" if "taskrun" in sql else "clock"
    return f"{sql.split(maxsplit=1)[0]} {table}"
