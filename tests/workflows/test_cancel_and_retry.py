"""Cancel and retry a workflow, all of it or from a step on, and single runs of it."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from taskworks import Workflow
from taskworks.actions.waiting import why_waiting
from taskworks.backends import workflow_ends
from taskworks.backends.workflow_ends import end_workflows, stop_after_failure, stop_workflow
from taskworks.database.clock import DatabaseClock
from taskworks.duties.workflows import WorkflowSweep, look_after_all
from taskworks.models import RunState, TaskRun
from taskworks.models import Workflow as Row
from taskworks.store import Store
from taskworks.store.blocking import Following
from tests.connections import begin_elsewhere, elsewhere, held_elsewhere
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import charge, step
from tests.workflows.test_growth import without_sqlite


def abc(on_failure: str = "wait") -> Workflow:
    flow = Workflow("abc", on_failure=on_failure)
    a = flow.add("a", step, "a")
    b = flow.each("b", step, [["b1"], ["b2"]], after=a)
    flow.add("c", step, "c", after=b)
    return flow


def test_cancel_before_anything_has_begun(work: Work) -> None:
    flow = abc()
    flow.add("tidy", step, "tidy", after="c", any_end=True)
    result = flow.enqueue()
    assert result.cancel()
    assert result.counts() == {"cancelled": 4, "ready": 1}
    assert result.status == "stopping"
    assert work() == ["tidy"]
    result.refresh()
    assert result.status == "cancelled"
    assert not result.cancel()


def test_running_members_are_asked_to_stop() -> None:
    result = abc().enqueue()
    a = TaskRun.objects.get(state="ready")
    TaskRun.objects.filter(id=a.id).update(state=RunState.RUNNING, claim_token=uuid4())
    assert result.cancel()
    assert result.status == "stopping"
    assert TaskRun.objects.get(id=a.id).cancel_requested_at
    assert result.counts() == {"running": 1, "cancelled": 3}
    assert result.retry() == 0


def test_a_cancelled_workflow_can_be_retried(work: Work) -> None:
    result = abc().enqueue()
    result.cancel()
    assert result.status == "cancelled"
    assert result.retry() == 4
    assert result.counts() == {"ready": 1, "blocked": 3}
    assert work() == ["a", "b1", "b2", "c"]
    result.refresh()
    assert result.status == "successful"


def test_retry_from_a_step_executes_what_follows_again(work: Work) -> None:
    result = abc().enqueue()
    assert work() == ["a", "b1", "b2", "c"]
    assert result.retry(from_="b") == 0
    result.refresh()
    assert result.status == "successful"
    assert result.retry(from_="b", again=True) == 3
    assert result.counts() == {"successful": 1, "ready": 2, "blocked": 1}
    assert work() == ["b1", "b2", "c"]
    result.refresh()
    assert result.status == "successful"


def test_retry_from_a_step_leaves_others(work: Work) -> None:
    tasks.failing |= {"a", "other"}
    flow = abc()
    flow.add("other", step, "other")
    result = flow.enqueue()
    assert sorted(work()) == ["a", "other"]
    tasks.failing.clear()
    assert result.retry(from_="a") == 1
    assert work() == ["a", "b1", "b2", "c"]
    result.refresh()
    assert result.status == "failed"
    assert result.retry() == 1
    assert work() == ["other"]
    result.refresh()
    assert result.status == "successful"


def test_retry_again_makes_what_waits_wait_for_it_too(work: Work) -> None:
    tasks.failing.add("b")
    flow = Workflow("diamond")
    a, b = flow.add("a", step, "a"), flow.add("b", step, "b")
    flow.add("c", step, "c", after=[a, b])
    result = flow.enqueue()
    assert sorted(work()) == ["a", "b"]
    assert result.retry(from_="a", again=True) == 1
    tasks.failing.add("a")
    assert work() == ["a"]
    tasks.failing.clear()
    assert result.retry(from_="b") == 1
    assert work() == ["b"]
    assert result.retry() == 1
    assert work() == ["a", "c"]


def test_what_is_executed_again_does_not_take_the_steps_that_it_has_recorded(work: Work) -> None:
    flow = Workflow("charges")
    flow.add("a", charge)
    result = flow.enqueue()
    assert work() == ["charge"]
    assert result.retry(from_="a", again=True) == 1
    assert work() == ["charge"]


def test_what_has_failed_goes_on_after_the_steps_that_it_has_recorded(work: Work) -> None:
    flow = Workflow("charges")
    flow.add("a", charge)
    result = flow.enqueue()
    assert work() == ["charge"]
    TaskRun.objects.update(state=RunState.FAILED)
    Row.objects.update(outcome="failed")
    assert result.retry() == 1
    assert work() == []


def test_what_waits_again_is_not_taken_for_a_run_of_a_paused_task(work: Work) -> None:
    flow = Workflow("ab")
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    result = flow.enqueue()
    work()
    assert result.retry(from_="a", again=True) == 2
    b = TaskRun.objects.get(id=result.step("b").task_result.id)
    assert "waits for the run" in (why_waiting(b) or "")
    TaskRun.objects.filter(id=b.id).update(enqueued_at=b.enqueued_at - timedelta(days=7))
    TaskRun.objects.filter(id=b.id).update(available_at=F("enqueued_at"))
    assert work() == ["a", "b"]
    b.refresh_from_db()
    assert b.available_at > b.enqueued_at + timedelta(days=6), "it counts from now on"


def test_the_retry_of_one_run_is_not_stopped_by_what_had_failed_before(
    work: Work, store: Store
) -> None:
    tasks.failing.add("a")
    flow = Workflow("stops", on_failure="stop")
    flow.add("a", step, "a")
    flow.add("later", step.using(run_after=timedelta(hours=1)), "later")
    result = flow.enqueue()
    assert work() == ["a"]
    assert result.counts() == {"failed": 1, "cancelled": 1}
    tasks.failing.clear()
    assert result.step("a").task_result.retry()
    look_after_all(store)
    assert result.counts() == {"ready": 1, "cancelled": 1}
    assert work() == ["a"]
    assert result.step("later").task_result.retry()
    TaskRun.objects.filter(state="ready").update(state=RunState.FAILED, finished_at=DatabaseClock())
    look_after_all(store)
    assert result.counts() == {"failed": 1, "successful": 1}


def test_single_runs_that_are_retried_wait_for_what_they_follow(work: Work) -> None:
    result = abc().enqueue()
    result.cancel()
    for run in TaskRun.objects.filter(state="cancelled").order_by("-id"):
        assert run.to_result().retry()
    assert result.counts() == {"ready": 1, "blocked": 3}
    assert work() == ["a", "b1", "b2", "c"]
    result.refresh()
    assert result.status == "successful"


def test_what_follows_a_group_that_was_cancelled_in_vain_can_be_retried(
    work: Work, store: Store
) -> None:
    """The running member of the group succeeds, although it was asked to stop."""
    flow = Workflow("in vain")
    flow.each("group", step, [["a"]])
    flow.add("last", step, "last", after="group")
    result = flow.enqueue()
    a = TaskRun.objects.filter(state="ready")
    ids = [*a.values_list("id", flat=True)]
    a.update(state=RunState.RUNNING, claim_token=uuid4())
    result.cancel()
    TaskRun.objects.filter(id__in=ids).update(
        state=RunState.SUCCESSFUL, finished_at=DatabaseClock()
    )
    look_after_all(store)
    result.refresh()
    assert result.status == "cancelled"
    assert result.retry() == 1
    assert work() == ["last"]
    result.refresh()
    assert result.status == "successful"


def test_a_sweep_that_has_read_before_a_retry_frees_nothing_after_it(store: Store) -> None:
    result = abc("stop").enqueue()
    TaskRun.objects.filter(state="ready").update(state=RunState.FAILED, finished_at=DatabaseClock())
    assert stop_workflow(store, UUID(result.id))
    edges = store.edges_since(0, 1000)
    assert {edge.state for edge in edges} == {"cancelled"}
    assert result.retry() == 4
    store.pass_on(edges)
    assert result.counts() == {"ready": 1, "blocked": 3}


def test_a_retry_in_the_moment_before_the_rest_is_given_up(
    work: Work, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs whatever becomes of a step waits for that, if that is to run after all."""
    flow = Workflow("abc")
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    flow.add("tidy", step, "tidy", after="b", any_end=True)
    result = flow.enqueue()
    TaskRun.objects.filter(state="ready").update(state=RunState.FAILED, finished_at=DatabaseClock())
    look, retried = Store._released, []

    def look_before_a_retry(self: Store, workflow: UUID) -> list[Following]:
        found = look(self, workflow)
        if found and not retried:
            retried.append(elsewhere(result.retry))
        return found

    monkeypatch.setattr(Store, "_released", look_before_a_retry)
    look_after_all(store)
    assert retried == [1]
    assert result.counts() == {"ready": 1, "blocked": 2}
    assert work() == ["a", "b", "tidy"]


def test_the_retry_of_one_run_opens_its_workflow(work: Work) -> None:
    tasks.failing.add("b1")
    flow = Workflow("outer")
    flow.add("inner", abc())
    flow.add("last", step, "last", after="inner")
    result = flow.enqueue()
    assert work() == ["a", "b1", "b2"]
    result.refresh()
    assert result.status == "failed"
    assert Row.objects.filter(outcome="failed").count() == 3
    tasks.failing.clear()
    failed = TaskRun.objects.get(state="failed").to_result()
    assert failed.retry()
    result.refresh()
    assert result.status == "running"
    assert work() == ["b1", "c", "last"]
    result.refresh()
    assert result.status == "successful"


def test_a_run_of_what_is_being_cancelled_is_not_retried(store: Store) -> None:
    result = abc().enqueue()
    a = TaskRun.objects.get(state="ready")
    TaskRun.objects.filter(id=a.id).update(state=RunState.RUNNING, claim_token=uuid4())
    result.cancel()
    cancelled = TaskRun.objects.filter(state="cancelled").first()
    assert cancelled
    assert not cancelled.to_result().retry()


def test_retry_of_a_step_with_any_end_only_if_it_has_failed(work: Work) -> None:
    tasks.failing |= {"a", "tidy"}
    flow = abc()
    flow.add("tidy", step, "tidy", after="a", any_end=True)
    result = flow.enqueue()
    assert work() == ["a", "tidy"]
    tasks.failing.clear()
    assert result.retry() == 2
    assert sorted(work()) == ["a", "b1", "b2", "c", "tidy"]


def test_stop_reaches_groups_and_workflows_within_and_outside(work: Work) -> None:
    tasks.failing.add("b1")
    flow = Workflow("outer", on_failure="stop")
    flow.add("inner", abc())
    flow.add("other", step, "other", after="inner")
    inner = Workflow("spared")
    inner.add("spared", step, "spared")
    flow.add("spared", inner, after="other", any_end=True)
    result = flow.enqueue()
    assert sorted(work()) == ["a", "b1", "b2", "spared"]
    result.refresh()
    assert result.status == "failed"
    assert result.counts() == {"successful": 3, "failed": 1, "blocked": 1, "cancelled": 1}


def test_a_failure_in_a_group_stops_its_workflow(work: Work) -> None:
    tasks.failing.add("b1")
    flow = abc("stop")
    flow.add("other", step, "other", after="c")
    result = flow.enqueue()
    assert work()[:2] == ["a", "b1"]
    result.refresh()
    assert result.status == "failed"
    assert result.counts()["failed"] == 1
    assert TaskRun.objects.filter(state="cancelled").count() >= 2


def test_a_cancel_that_died_is_finished_although_somebody_else_looks_first(store: Store) -> None:
    flow = Workflow("cancelled")
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    inner = Workflow("inner")
    inner.add("c", step, "c", after=inner.each("group", step, [["g"]]))
    flow.add("inner", inner, after="a")
    result = flow.enqueue()
    TaskRun.objects.filter(state="ready").update(state=RunState.FAILED, finished_at=DatabaseClock())
    assert store.begin_to_stop(UUID(result.id))  # and then it is killed
    assert not end_workflows(store, [*Row.objects.order_by("-id").values_list("id", flat=True)])
    look_after_all(store)
    result.refresh()
    assert (result.status, result.counts()) == ("failed", {"failed": 1, "cancelled": 3})


@without_sqlite
@pytest.mark.parametrize("dies_first", [False, True])
def test_a_stop_in_the_moment_before_what_has_no_hope_ends(
    work: Work, store: Store, monkeypatch: pytest.MonkeyPatch, dies_first: bool
) -> None:
    """The other one may die when it has written that the workflow is to stop."""
    flow = Workflow("stops", on_failure="stop")
    flow.add("a", step, "a")
    flow.each("group", step, [["g1"], ["g2"]], after="a")
    flow.add("last", step, "last", after="group")
    result = flow.enqueue()
    TaskRun.objects.filter(state="ready").update(state=RunState.FAILED, finished_at=DatabaseClock())
    workflow, group = UUID(result.id), UUID(result.step("group").workflow.id)
    look, stopped = Store._is_to_stop_first, []
    stop: Callable[[], Any] = partial(stop_after_failure, store, workflow)
    if dies_first:
        stop = partial(store.begin_to_stop, workflow)

    def stop_before_it_looks(self: Store, of: UUID) -> bool:
        if of == group and not stopped:
            stopped.append(of)
            elsewhere(stop)
        return look(self, of)

    monkeypatch.setattr(Store, "_is_to_stop_first", stop_before_it_looks)
    end_workflows(store, [group])
    assert stopped
    look_after_all(store)
    result.refresh()
    assert (result.status, result.counts()) == ("failed", {"failed": 1, "cancelled": 3})
    assert not Row.objects.filter(finished_at=None).exists()
    assert result.retry() == 4
    assert work() == ["a", "g1", "g2", "last"]
    result.refresh()
    assert result.status == "successful"


@without_sqlite
def test_a_failure_in_the_moment_before_a_group_ends_stops_the_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks after the group does not see it yet; who has written it does, or the sweep."""
    flow = Workflow("stops", on_failure="stop")
    a, b = flow.add("a", step, "a"), flow.add("b", step, "b")
    flow.each("group", step, [["g"]], after=[a, b])
    result = flow.enqueue()
    runs = {one.name: one.task_result.id for one in result.steps() if one.task_result}
    failed = {"state": RunState.FAILED, "finished_at": DatabaseClock()}
    group = UUID(result.step("group").workflow.id)
    look, changed = Store._near_failures, []

    def fail_after_it_has_looked(self: Store, ids: Sequence[UUID]) -> list[UUID]:
        found = look(self, ids)
        if group in ids and not changed:
            changed.append(elsewhere(lambda: TaskRun.objects.filter(id=runs["a"]).update(**failed)))
        return found

    monkeypatch.setattr(Store, "_near_failures", fail_after_it_has_looked)
    end_workflows(store, [group])
    assert changed == [1]
    assert Row.objects.get(id=group).finished_at is None
    look_after_all(store)
    result.refresh()
    assert (result.status, result.counts()) == ("failed", {"failed": 1, "cancelled": 2})


@without_sqlite
def test_two_retry_it_at_once(work: Work) -> None:
    tasks.failing.add("a")
    result = abc().enqueue()
    work()
    others = [begin_elsewhere(result.retry) for _ in range(4)]
    assert sorted(other.result(timeout=60) for other in others) == [0, 0, 0, 1]


@without_sqlite
def test_a_retry_waits_for_a_cancel(work: Work) -> None:
    result = abc().enqueue()
    with held_elsewhere(result.cancel):
        retried = begin_elsewhere(result.retry)
    assert retried.result(timeout=60) == 4
    assert work() == ["a", "b1", "b2", "c"]


def test_a_large_group_is_cancelled_in_few_statements(store: Store) -> None:
    flow = Workflow("large")
    flow.each("a", step, [[str(number)] for number in range(2500)])
    result = flow.enqueue()
    with CaptureQueriesContext(connection) as queries:
        assert result.cancel()
    assert len(queries) < 150
    assert result.counts() == {"cancelled": 2500}
    with CaptureQueriesContext(connection) as queries:
        assert result.retry() == 2500
    assert len(queries) < 60
    assert store.runs.ready().unlimited().count() == 2500
    assert UUID(result.id)


def test_a_sweep_leaves_the_rest_of_very_many_to_the_next_heartbeat(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or portions would be small: another test may have left a receiver, or a level of logs.
    monkeypatch.setattr(workflow_ends, "is_cancellation_heard", lambda: False)
    flow = Workflow("large")
    flow.each("group", step, [["a"]] * 2500)
    result = flow.enqueue()
    assert store.begin_to_stop(UUID(result.id))
    sweep, left = WorkflowSweep(store), [2500]
    while left[-1]:
        sweep.step(within=0)
        left.append(result.counts().get("ready", 0))
    assert sorted({*left}) == [0, 500, 1500, 2500]
    look_after_all(store)
    result.refresh()
    assert result.status == "cancelled"


def test_a_step_says_what_it_waits_for(work: Work) -> None:
    result = abc().enqueue()
    last = TaskRun.objects.get(id=result.step("c").task_result.id)
    assert "the group 'b'" in (why_waiting(last) or "")
    assert "to succeed, which has not ended" in (why_waiting(last) or "")
    tasks.failing.add("b1")
    work()
    assert "which has failed: retry that one" in (why_waiting(last) or "")
