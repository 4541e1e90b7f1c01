"""When a workflow ends, who is told, and how long it is kept."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from taskworks import Limit, Snooze, Task, TaskContext, Workflow, task
from taskworks.duties.prune import prunable, prune
from taskworks.duties.unblock import unblock_all
from taskworks.duties.workflows import EndedMembers
from taskworks.execution import Attempt
from taskworks.models import Edge, RunState, Step, TaskRun
from taskworks.models import Workflow as Row
from taskworks.options.retention import Rule
from taskworks.signals import workflow_finished
from taskworks.store import Store
from tests.behavior import received
from tests.connections import elsewhere
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import gather, step

OLD = [Rule("default", outcome, timedelta()) for outcome in ("successful", "failed", "cancelled")]
PRUNED = (TaskRun, Row, Step, Edge)


@task(max_attempts=2, backoff=3600, takes_context=True)
def fails_once(context: TaskContext) -> None:
    tasks.executed.append(f"attempt {context.attempt}")
    if context.attempt == 1:
        raise ValueError("not yet")


@task(takes_context=True)
def snoozes_once(context: TaskContext) -> None:
    has_snoozed = "snoozed" in context.metadata
    tasks.executed.append(f"attempt {2 if has_snoozed else 1}")
    context.metadata["snoozed"] = True
    context.save_metadata()
    if not has_snoozed:
        raise Snooze(after=3600)


@task(limit=Limit("held steps", by="label", at_once=1), takes_context=True)
def holds_once(context: TaskContext, label: str) -> None:
    tasks.executed.append(label)
    if len(tasks.executed) == 1:
        context.hold(0)


def flow_of(*labels: str) -> Workflow:
    flow = Workflow("flow")
    before = None
    for label in labels:
        before = flow.add(label, step, label, after=before)
    return flow


def test_the_end_is_told_once(work: Work) -> None:
    flow = flow_of("a")
    flow.each("group", step, [["b"], ["c"]], after="a")
    with received(workflow_finished) as sent:
        flow.enqueue()
        work()
    ends = [(one["workflow_result"].name, one["workflow_result"].status) for one in sent]
    assert ends == [("group", "successful"), ("flow", "successful")]


def test_an_empty_one_has_ended_when_it_is_stored(work: Work) -> None:
    flow = Workflow("empty")
    flow.each("group", step, [])
    with received(workflow_finished) as sent:
        result = flow.enqueue()
    assert result.status == "successful"
    assert {one["workflow_result"].name for one in sent} == {"empty", "group"}
    assert Workflow("nothing").enqueue().is_finished
    assert result.progress() == 1.0
    assert work() == []


def test_what_follows_an_empty_group_waits_for_what_that_follows(work: Work) -> None:
    tasks.failing.add("a")
    flow = flow_of("a")
    flow.each("group", step, [], after="a")
    flow.add("b", step, "b", after="group")
    flow.add("c", step, "c", after="group", any_end=True)
    result = flow.enqueue()
    assert work() == ["a", "c"]
    tasks.failing.clear()
    result.retry()
    assert work() == ["a", "b"]


@pytest.mark.parametrize("first", [fails_once, snoozes_once], ids=["retried", "snoozed"])
def test_an_attempt_that_is_followed_by_another_is_no_end(first: Task, work: Work) -> None:
    flow = Workflow("flow")
    flow.add("first", first)
    flow.add("then", step, "then", after="first")
    result = flow.enqueue()
    assert work() == ["attempt 1"]
    result.refresh()
    assert result.status == "running"
    TaskRun.objects.filter(state="scheduled").update(available_at=F("enqueued_at"))
    assert work() == ["attempt 2", "then"]
    result.refresh()
    assert result.status == "successful"


def test_a_hold_is_no_end(work: Work) -> None:
    """Case 30."""
    flow = Workflow("flow")
    flow.add("first", holds_once, "first")
    flow.add("then", step, "then", after="first")
    result = flow.enqueue()
    assert work() == ["first", "first", "then"]
    result.refresh()
    assert result.status == "successful"


def test_a_delay_counts_from_when_it_need_not_wait(work: Work) -> None:
    flow = flow_of("a")
    flow.add("b", step.using(run_after=timedelta(hours=1)), "b", after="a")
    result = flow.enqueue()
    assert work() == ["a"]
    assert result.counts() == {"successful": 1, "scheduled": 1}
    result.refresh()
    assert not result.is_finished


def test_fan_in_of_10_000(store: Store) -> None:
    """The statements of a batch of finishes do not grow with how many there are."""
    flow = Workflow("fan")
    flow.each("group", step, [[str(number)] for number in range(9_999)])
    flow.add("then", gather, "group", after="group")
    result = flow.enqueue()
    ended = EndedMembers(store)
    ids = [*TaskRun.objects.filter(state="ready").order_by("id").values_list("id", flat=True)]
    most = 0
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        TaskRun.objects.filter(id__in=some).update(
            state=RunState.SUCCESSFUL, finished_at=store.read_clock(), return_value=start
        )
        attempts = [Attempt(run, "a label") for run in TaskRun.objects.filter(id__in=some)]
        ended.recorded(attempts)
        with CaptureQueriesContext(connection) as queries:
            ended.look_after()
        if start + 500 < len(ids):
            most = max(most, len(queries))
    assert most == 1
    assert result.counts() == {"successful": 9_999, "ready": 1}
    values = [*result.results("group")]
    assert len(values) == 9_999
    assert values == sorted(values)


def test_a_sweep_looks_at_all_in_few_statements(store: Store) -> None:
    for _ in range(30):
        flow_of("a", "b").enqueue()
    with CaptureQueriesContext(connection) as queries:
        unblock_all(store)
    assert len(queries) < 8


def test_steps_cost_a_constant_number_of_statements() -> None:
    counts = []
    for number in (10, 200):
        with CaptureQueriesContext(connection) as queries:
            flow_of(*map(str, range(number))).enqueue()
        counts.append(len(queries))
    assert max(counts) <= 10


def test_what_a_step_is_stored_with_does_not_grow_with_its_workflow(work: Work) -> None:
    """Case 27: neither with what is around it, nor with what others have returned."""
    sizes = set()
    for depth in (1, 5):
        flow = flow_of("a", "b", "c")
        flow.add("large", step, "x" * 10_000)
        for _ in range(depth - 1):
            outer = Workflow("outer")
            outer.add("before", step, "before")
            outer.add("inner", flow, after="before")
            flow = outer
        result = flow.enqueue()
        work()
        [last] = [run for run in TaskRun.objects.all() if run.args == ["c"]]
        sizes.add(len(repr([last.args, last.kwargs, last.options, last.metadata])))
        result.refresh()
        assert result.status == "successful"
        TaskRun.objects.all().delete()
    assert len(sizes) == 1


def test_members_are_pruned_with_their_workflow_and_not_before(store: Store, work: Work) -> None:
    flow = flow_of("a", "b")
    flow.each("c", step, [["c1"], ["c2"]], after="b")
    flow.add("d", step.using(run_after=timedelta(hours=1)), "d", after="a")
    result = flow.enqueue()
    work()
    assert prune(store, OLD) == prunable(store, OLD) == 0
    TaskRun.objects.filter(state="scheduled").update(
        state=RunState.SUCCESSFUL, finished_at=store.read_clock()
    )
    unblock_all(store)
    result.refresh()
    assert result.status == "successful"
    assert prunable(store, OLD) == 5
    assert prune(store, [Rule("default", "successful", timedelta(days=1))]) == 0
    assert prune(store, OLD) == 5
    assert not any(model.objects.exists() for model in PRUNED)


def test_blocked_members_go_too(store: Store, work: Work) -> None:
    tasks.failing.add("a")
    flow_of("a", "b", "c").enqueue()
    work()
    step.enqueue("plain")
    assert prune(store, [Rule("default", "successful", timedelta())]) == 0
    assert prune(store, OLD) == 3
    assert TaskRun.objects.count() == 1
    assert not Edge.objects.exists()


def test_a_large_workflow_is_pruned_in_chunks(
    store: Store, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.duties.prune.MAX_CHUNK", 10)
    for _ in range(3):
        flow = Workflow("large")
        flow.each("a", step, [["a"]] * 25)
        flow.enqueue()
    TaskRun.objects.update(state=RunState.SUCCESSFUL, finished_at=store.read_clock())
    unblock_all(store)
    assert prune(store, OLD) == 75
    assert not any(model.objects.exists() for model in PRUNED)


def test_what_another_run_waits_for_is_kept(store: Store, work: Work) -> None:
    result = flow_of("a").enqueue()
    work()
    follower = elsewhere(lambda: step.enqueue("follower"))
    TaskRun.objects.filter(id=follower.id).update(state=RunState.BLOCKED)
    Edge.objects.create(run=UUID(follower.id), after=UUID(result.id))
    assert prune(store, OLD) == 0
    unblock_all(store)
    assert prune(store, OLD) == 1
    assert work() == ["follower"]
