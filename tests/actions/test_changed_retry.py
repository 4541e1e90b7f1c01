"""What has ended is run again with other arguments, and the two runs know of each other."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from taskworks import Unique, control, task
from taskworks.actions.changed_retry import changed, differences, retry_with
from taskworks.exceptions import AlreadyEnqueued, InvalidInputs, TaskResultDoesNotExist
from taskworks.models import TaskRun
from taskworks.reserved_metadata import OF_CHANGED, OF_CHANGES, changed_of, changes_of
from taskworks.store import store as store_of
from tests.behavior import run_worker
from tests.connections import begin_elsewhere, elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


@task(priority=3)
def charge(order: int, amount: int = 1, *lines: Any, **more: Any) -> list[Any]:
    if amount > 10:
        raise ValueError("too much")
    return [order, amount, lines, more]


@task(typed=True)
def typed_charge(order: int, amount: int = 1) -> int:
    if amount > 10:
        raise ValueError("too much")
    return order


@task(unique=Unique("order", on_conflict="keep"))
def charge_once(order: int, amount: int = 1) -> None:
    if amount > 10:
        raise ValueError("too much")


def failed(definition: Any, *args: Any, **kwargs: Any) -> TaskRun:
    result = definition.enqueue(*args, **kwargs)
    run_worker()
    return TaskRun.objects.get(id=result.id)


def count() -> int:
    return TaskRun.objects.count()


class TestNewRun:
    def test_it_has_the_options_of_the_old_one_and_the_two_are_linked(self) -> None:
        options = {"priority": 7, "queue_name": "mail", "metadata": {"a": 1}, "max_attempts": 2}
        result = charge.using(**options).enqueue(5, amount=30)
        TaskRun.objects.filter(id=result.id).update(owner="7")
        run_worker()
        TaskRun.objects.filter(id=result.id).update(
            state="failed", finished_at=store_of().read_clock()
        )
        before = TaskRun.objects.get(id=result.id)
        new = control.retry_with(result, {"amount": 3}, by="Ada")
        old, run = TaskRun.objects.get(id=result.id), TaskRun.objects.get(id=new.id)
        assert (run.args, run.kwargs) == ([5], {"amount": 3})
        assert (run.priority, run.queue_name, run.owner) == (7, "mail", "7")
        assert (run.options, run.state) == (before.options, "ready")
        repeats = changes_of(run.metadata)
        assert repeats
        assert (repeats.run, repeats.arguments) == (old.id, (("amount", 30, 3),))
        assert run.metadata["a"] == 1
        assert changed_of(old.metadata) == (run.id,)
        assert {**old.__dict__, "metadata": 0, "_state": 0} == {
            **before.__dict__,
            "metadata": 0,
            "_state": 0,
        }
        run_worker()
        new.refresh()
        assert new.return_value == [5, 3, [], {}]
        again = control.retry_with(new, {"amount": 4})
        assert OF_CHANGED not in TaskRun.objects.get(id=again.id).metadata
        assert changed_of(TaskRun.objects.get(id=new.id).metadata) == (UUID(again.id),)

    def test_two_may_do_so_at_once_and_none_is_lost(self) -> None:
        run = failed(charge, 5, 30)
        both = [
            begin_elsewhere(lambda amount=amount: retry_with(run, [5, amount], {}))  # type: ignore[misc]
            for amount in range(2, 6)
        ]
        ids = {UUID(one.result(timeout=60).id) for one in both}
        assert {*changed_of(TaskRun.objects.get(id=run.id).metadata)} == ids
        assert len(ids) == 4

    def test_nonsense_in_the_metadata_stops_nobody(self) -> None:
        run = failed(charge, 5, 30)
        for nonsense in ('"text"', "{ 7", '{"taskworks.changed": 7}', "[]"):
            with connection.cursor() as cursor:
                cursor.execute("UPDATE taskworks_taskrun SET metadata = %s", [nonsense])
            again = TaskRun.objects.get(id=run.id)
            new = retry_with(again, [5, 3], {})
            assert changes_of(TaskRun.objects.get(id=new.id).metadata)
            TaskRun.objects.filter(id=new.id).delete()
        for metadata in ({OF_CHANGES: {"run": "x", "changes": []}}, {OF_CHANGES: 7}, None, "x"):
            assert changes_of(metadata) is None
            assert changed_of(metadata) == ()

    def test_metadata_that_is_no_object_is_replaced(self) -> None:
        run = failed(charge, 5, 30)
        TaskRun.objects.filter(id=run.id).update(metadata=["x"])
        new = retry_with(TaskRun.objects.get(id=run.id), [5, 3], {})
        assert changed_of(TaskRun.objects.get(id=run.id).metadata) == (UUID(new.id),)


@pytest.mark.thorough_on_servers
class TestArguments:
    def test_they_are_changed_by_name_or_position(self) -> None:
        run = TaskRun(
            task_path=charge.module_path,
            args=[5, 30, {"n": [1, {"x": 2}]}],
            kwargs={"country": {"code": "ch"}},
        )
        changes: dict[str, Any] = {
            "amount": 3,
            "2.n.1.x": 7,
            "country.code": "CH",
            "note": None,
            "0": 6,
        }
        args, kwargs = changed(run, changes)
        assert args == [6, 3, {"n": [1, {"x": 7}]}]
        assert kwargs == {"country": {"code": "CH"}, "note": None}
        assert run.args == [5, 30, {"n": [1, {"x": 2}]}]
        assert [one.path for one in differences(run, args, kwargs)] == [
            "order",
            "amount",
            "2",
            "country",
            "note",
        ]

    @pytest.mark.parametrize("path", ["7", "2.n.9", "2.m.x", "amount.x", "country.code.x", "2.n.x"])
    def test_what_is_not_there_is_refused(self, path: str) -> None:
        run = TaskRun(
            task_path=charge.module_path, args=[5, 30, {"n": [1]}], kwargs={"country": {"code": 1}}
        )
        with pytest.raises(ValueError, match="The run has no argument"):
            changed(run, {path: 1})

    def test_a_type_that_differs_is_a_difference(self) -> None:
        run = TaskRun(task_path=charge.module_path, args=[1, True], kwargs={})
        assert [one.path for one in differences(run, [True, True], {})] == ["order"]
        assert differences(run, [1], {"amount": True}) == []


@pytest.mark.thorough_on_servers
class TestBadInput:
    def test_what_enqueue_refuses_is_refused(self) -> None:
        result = typed_charge.enqueue(order=5, amount=30)
        run_worker()
        with pytest.raises(InvalidInputs):
            control.retry_with(result, {"amount": "many"})
        with pytest.raises(InvalidInputs):
            control.retry_with(result, {"price": 3})
        with pytest.raises(TypeError):
            control.retry_with(result, {"amount": object()})
        assert count() == 1
        assert control.retry_with(result, {"amount": 3}).is_new is not False
        assert count() == 2

    def test_a_run_that_has_not_ended_is_refused_also_when_it_is_retried_meanwhile(self) -> None:
        run = failed(charge, 5, 30)
        elsewhere(lambda: store_of().retry(run.id))
        with pytest.raises(ValueError, match="Only a run that has ended"):
            retry_with(run, [5, 3], {})
        assert count() == 1
        assert OF_CHANGED not in TaskRun.objects.get(id=run.id).metadata

    def test_nothing_that_differs_is_refused(self) -> None:
        run = failed(charge, 5, amount=30)
        with pytest.raises(ValueError, match="No argument differs"):
            retry_with(run, [5], {"amount": 30})
        with pytest.raises(ValueError, match="No argument differs"):
            retry_with(run, [5, 30], {})

    def test_a_run_that_stands_for_it_is_named(self) -> None:
        result = charge_once.enqueue(5, amount=30)
        run_worker()
        other = charge_once.using(run_after=None).enqueue(5, amount=2)
        with pytest.raises((ValueError, AlreadyEnqueued), match=str(other.id)):
            control.retry_with(result, {"amount": 3})
        assert count() == 2

    @pytest.mark.parametrize(
        ("columns", "error"),
        [
            ({"workflow": uuid4()}, "It is a step of a workflow"),
            ({"callable_path": "shop.report"}, "takes no arguments of its own"),
            ({"task_path": "gone.tasks.charge"}, "Its task cannot be enqueued"),
        ],
    )
    def test_runs_that_cannot_be_repeated_are_refused(
        self, columns: dict[str, Any], error: str
    ) -> None:
        run = failed(charge, 5, 30)
        TaskRun.objects.filter(id=run.id).update(**columns)
        with pytest.raises(ValueError, match=error):
            retry_with(TaskRun.objects.get(id=run.id), [5, 3], {})
        assert count() == 1

    def test_unreadable_arguments_are_refused(self) -> None:
        run = failed(charge, 5, 30)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE taskworks_taskrun SET kwargs = '{ 7'")
        with pytest.raises(ValueError, match="cannot be read"):
            changed(TaskRun.objects.get(id=run.id), {"amount": 3})

    def test_a_run_that_is_gone_is_refused(self) -> None:
        result = charge.enqueue(5, 30)
        TaskRun.objects.all().delete()
        with pytest.raises(TaskResultDoesNotExist):
            control.retry_with(result, {"amount": 3})
