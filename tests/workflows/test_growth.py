"""Steps that are added while a workflow runs: from inside, from outside, and too late."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction

from taskworks import Batch, Workflow
from taskworks.backends.workflow_ends import stop_workflow
from taskworks.backends.workflows import Workflows
from taskworks.duties.workflows import look_after_all
from taskworks.exceptions import InvalidWorkflow, TaskLost, WorkflowFinished
from taskworks.framework import task_backends
from taskworks.models import RunState, TaskRun
from taskworks.models import Workflow as Row
from taskworks.store import Store
from taskworks.store.new_workflows import Claim
from taskworks.workflows.growth import added_step
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import grow, step

without_sqlite = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="On SQLite one writes, and the others wait."
)


def workflows() -> Workflows:
    return task_backends["default"].workflows


def test_from_inside(work: Work) -> None:
    flow = Workflow("growing")
    flow.add("grow", grow, "g")
    flow.add("last", step, "last", after="grow")
    result = flow.enqueue()
    assert sorted(work()) == ["g", "g a", "g b", "g more", "last"]
    result.refresh()
    assert result.status == "successful"
    assert [one.name for one in result.steps()] == ["grow", "last", "g more", "g group"]


@pytest.mark.parametrize("position", ["first", "middle", "last", "group", "nested", "callback"])
def test_in_each_position(position: str, work: Work) -> None:
    """Case 26."""
    flow, inner = Workflow("growing"), Workflow("inner")

    def call(place: str) -> Any:
        return grow.step("g") if place == position else step.step(place)

    inner.add("inner", call("nested"))
    for place in ("first", "middle", "last"):
        flow.add(place, call(place))
    in_group = call("group")
    flow.each("group", in_group.task, [in_group.args], after="middle")
    flow.add("nested", inner, after="group")
    flow.add("callback", call("callback"), after="nested")
    result = flow.enqueue()
    executed = work()
    assert {"g", "g more", "g a", "g b"} < {*executed}
    assert len(executed) == len({*executed})
    result.refresh()
    assert result.status == "successful"
    if position == "nested":
        assert executed[-1] == "callback", "the workflow within has ended before it had grown"


def test_what_is_after_a_run_that_somebody_has_deleted_is_cancelled(work: Work) -> None:
    """Case 32: pruning does not delete it before its workflow, but a person may."""
    flow = Workflow("growing")
    flow.add("a", step, "a")
    flow.add("later", step.using(run_after=timedelta(hours=1)), "later")
    result = flow.enqueue()
    assert work() == ["a"]
    TaskRun.objects.filter(state="successful").delete()
    added = result.add("b", step, "b", after="a")
    assert work() == []
    assert added.task_result
    added.task_result.refresh()
    assert TaskRun.objects.get(id=added.task_result.id).state == "cancelled"
    assert "is gone, and had not succeeded" in added.task_result.errors[0].traceback


def test_an_attempt_that_is_repeated_adds_nothing_twice(work: Work) -> None:
    flow = Workflow("growing")
    flow.add("grow", grow.using(max_attempts=2, backoff=0), "g", fails_after=True)
    result = flow.enqueue()
    assert sorted(work()) == ["g", "g", "g a", "g b", "g more"]
    result.refresh()
    assert result.status == "successful"


def test_from_outside(work: Work) -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    result.add("b", step, "b", after="a")
    result.each("c", step, [["c1"], ["c2"]], after=["a", "b"])
    inner = Workflow("inner")
    inner.add("d", step, "d")
    result.add("d", inner, after="c", any_end=True)
    assert work() == ["a", "b", "c1", "c2", "d"]
    result.refresh()
    assert result.status == "successful"


def test_what_is_after_something_empty_follows_what_that_follows(work: Work) -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    flow.each("empty", step, [], after="a")
    result = flow.enqueue()
    result.add("b", step, "b", after="empty")
    result.add("also empty", Workflow("nothing"), after=["b", "empty"])
    result.add("c", step, "c", after="also empty")
    assert result.counts() == {"ready": 1, "blocked": 2}
    assert work() == ["a", "b", "c"]
    tasks.failing.add("a")
    assert result.retry(from_="a", again=True) == 3
    assert work() == ["a"]


def test_what_is_after_a_failed_step_waits_for_its_retry(work: Work) -> None:
    tasks.failing.add("a")
    flow = Workflow("growing")
    flow.add("a", step, "a")
    flow.add("b", step.using(run_after=timedelta(hours=1)), "b")
    result = flow.enqueue()
    assert work() == ["a"]
    result.add("c", step, "c", after="a")
    assert work() == []
    tasks.failing.clear()
    assert result.retry() == 1
    assert work() == ["a", "c"]


def test_nothing_can_be_added_to_what_has_ended(work: Work) -> None:
    flow = Workflow("over")
    flow.add("a", step, "a")
    result = flow.enqueue()
    work()
    with pytest.raises(WorkflowFinished, match="'over' has ended"):
        result.add("b", step, "b")
    assert TaskRun.objects.count() == 1


def test_nothing_can_be_added_to_what_is_being_cancelled(store: Store) -> None:
    flow = Workflow("stopping")
    flow.add("a", step, "a")
    result = flow.enqueue()
    assert store.begin_to_stop(UUID(result.id))
    with pytest.raises(WorkflowFinished, match="is being cancelled"):
        result.add("b", step, "b")
    assert result.retry() == 0


def test_an_unknown_predecessor_is_named() -> None:
    flow = Workflow("growing")
    flow.add("extract", step, "a")
    result = flow.enqueue()
    with pytest.raises(InvalidWorkflow, match=r"'extrakt'.*Did you mean 'extract'"):
        result.add("b", step, "b", after="extrakt")
    assert TaskRun.objects.count() == 1


def test_a_zombie_adds_nothing() -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    [run] = TaskRun.objects.all()
    TaskRun.objects.update(state=RunState.RUNNING, claim_token=uuid4())
    late = added_step("b", step, ["b"], {}, after=None, any_end=False)
    with pytest.raises(TaskLost):
        workflows().add(UUID(result.id), late, Claim(run.id, uuid4()))
    assert TaskRun.objects.count() == 1
    token = TaskRun.objects.get().claim_token
    assert token
    assert workflows().add(UUID(result.id), late, Claim(run.id, token)).name == "b"


def finish_all(store: Store) -> None:
    """As if workers had: every run has succeeded, and nobody has looked after its workflow."""
    store.runs.update(state=RunState.SUCCESSFUL, finished_at=store.read_clock())


@without_sqlite
def test_what_is_added_in_time_keeps_the_workflow_from_ending(store: Store) -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    finish_all(store)
    with held_elsewhere(lambda: result.add("b", step, "b")):
        assert store.end_workflows([UUID(result.id)]).finished == []
    assert store.end_workflows([UUID(result.id)]).finished == []
    assert result.add("c", step, "c").name == "c"


@without_sqlite
def test_an_addition_that_comes_in_the_same_moment_as_the_end_finds_it(store: Store) -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    finish_all(store)

    def end_slowly() -> int:
        return len(store.end_workflows([UUID(result.id)]).finished)

    with held_elsewhere(end_slowly) as ended:
        assert ended == 1
        late = begin_elsewhere(lambda: result.add("b", step, "b"))
    with pytest.raises(WorkflowFinished):
        late.result(timeout=60)
    assert TaskRun.objects.count() == 1


def test_two_add_a_step_of_one_name_at_once() -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    others = [begin_elsewhere(lambda: result.add("b", step, "b")) for _ in range(4)]
    assert {other.result(timeout=60).task_result.id for other in others} == {
        result.step("b").task_result.id
    }
    assert TaskRun.objects.count() == 2


@without_sqlite
def test_many_members_add_at_once_and_none_waits_for_another() -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    with held_elsewhere(lambda: result.add("b", step, "b")):
        elsewhere(lambda: result.add("c", step, "c"))
    assert len(result.steps()) == 3


@without_sqlite
def test_cancel_waits_for_an_addition_and_cancels_it_too() -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    with held_elsewhere(lambda: result.add("b", step, "b")):
        cancelled = begin_elsewhere(result.cancel)
    assert cancelled.result(timeout=60)
    assert result.counts() == {"cancelled": 2}
    result.refresh()
    assert result.status == "cancelled"


@without_sqlite
def test_a_worker_does_not_wait_for_an_addition_and_stops_it_later(store: Store) -> None:
    flow = Workflow("growing", on_failure="stop")
    flow.add("a", step, "a")
    flow.add("b", step, "b")
    result = flow.enqueue()
    first = TaskRun.objects.earliest("id")
    TaskRun.objects.filter(id=first.id).update(
        state=RunState.FAILED, finished_at=store.read_clock()
    )
    with held_elsewhere(lambda: result.add("c", step, "c")):
        assert stop_workflow(store, UUID(result.id), patient=False) is None
    look_after_all(store)
    assert result.counts() == {"failed": 1, "cancelled": 2}
    assert Row.objects.get().outcome == "failed"


def test_an_addition_in_a_transaction_that_is_rolled_back_is_none(work: Work) -> None:
    flow = Workflow("growing")
    flow.add("a", step, "a")
    result = flow.enqueue()
    with transaction.atomic():
        result.add("b", step, "b")
        transaction.set_rollback(True)
    assert work() == ["a"]
    result.refresh()
    assert result.status == "successful"


def test_a_workflow_in_a_transaction_that_is_rolled_back_is_none() -> None:
    flow = Workflow("nothing")
    flow.each("a", step, [["a"], ["b"]])
    with transaction.atomic():
        flow.enqueue()
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()
    assert not Row.objects.exists()


def test_a_batch_outside_of_its_block_takes_nothing() -> None:
    batch = Batch("mail")
    with pytest.raises(WorkflowFinished):
        batch.add(step, "a")
    with batch:
        batch.add(step, "a")
    with pytest.raises(WorkflowFinished):
        batch.add(step, "b")
