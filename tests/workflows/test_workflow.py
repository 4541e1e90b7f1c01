"""A workflow of named steps: what runs when, what it ends as, and what its result says."""

from uuid import UUID

from taskworks import Workflow, chain
from taskworks.backends.workflow_ends import end_workflows
from taskworks.duties.workflows import look_after_all
from taskworks.models import Edge, TaskRun
from taskworks.store import Store
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import gather, read, step


def test_steps_run_after_those_that_they_follow(work: Work) -> None:
    flow = Workflow("nightly")
    extract = flow.add("extract", step, "extract")
    parts = flow.each("transform", step, [["a"], ["b"]], after=extract)
    flow.add("load", gather, "transform", after=[extract, parts])
    result = flow.enqueue()
    assert result.status == "running"
    assert result.counts() == {"ready": 1, "blocked": 3}
    assert work() == ["extract", "a", "b", "gather transform"]
    result.refresh()
    assert result.status == "successful"
    assert result.finished_at
    assert result.result("load") == ["A", "B"]
    assert result.progress() == 1.0
    assert not Edge.objects.exists()


def test_a_chain(work: Work) -> None:
    result = chain(step.step("a"), step.step("b"), read.step("step")).enqueue()
    assert work() == ["a", "b"]
    assert [one.name for one in result.steps()] == ["step", "step 2", "read"]
    assert result.result("read") == "A"


def test_what_follows_a_failed_step_waits_and_goes_on_after_a_retry(work: Work) -> None:
    tasks.failing.add("b")
    flow = Workflow("nightly")
    a = flow.add("a", step, "a")
    b = flow.add("b", step, "b", after=a)
    flow.add("c", step, "c", after=b)
    flow.add("other", step, "other", after=a)
    flow.add("tidy", step, "tidy", after="c", any_end=True)
    result = flow.enqueue()
    assert work() == ["a", "b", "other", "tidy"]
    result.refresh()
    assert result.status == "failed"
    assert result.counts() == {"successful": 3, "failed": 1, "blocked": 1}
    tasks.failing.clear()
    assert result.retry() == 1
    assert result.status == "running"
    assert work() == ["b", "c"]
    result.refresh()
    assert result.status == "successful"


def test_a_group_without_hope_does_not_end_before_its_workflow_is_stopped(store: Store) -> None:
    flow = Workflow("nightly", on_failure="stop")
    flow.add("a", step, "a")
    flow.each("later", step, [["x"], ["y"]], after="a")
    result = flow.enqueue()
    failed = TaskRun.objects.filter(workflow=UUID(result.id))
    failed.update(state="failed", finished_at=store.read_clock())
    end_workflows(store, store.workflows.filter(kind="group").values_list("id", flat=True))
    assert not store.workflows.exclude(outcome=None).exists()
    look_after_all(store)
    result.refresh()
    assert result.status == "failed"
    assert result.counts() == {"failed": 1, "cancelled": 2}


def test_with_stop_the_rest_is_cancelled(work: Work) -> None:
    tasks.failing.add("a")
    flow = Workflow("nightly", on_failure="stop")
    a = flow.add("a", step, "a")
    b = flow.add("b", step, "b", after=a)
    flow.each("later", step, [["x"], ["y"]], after=b)
    flow.add("tidy", step, "tidy", after=b, any_end=True)
    result = flow.enqueue()
    assert work() == ["a", "tidy"]
    result.refresh()
    assert result.status == "failed"
    assert result.counts() == {"failed": 1, "cancelled": 3, "successful": 1}
    tasks.failing.clear()
    assert result.retry() == 4
    assert work() == ["a", "b", "x", "y"]
    result.refresh()
    assert result.status == "successful"
    assert TaskRun.objects.filter(state="successful").count() == 5
