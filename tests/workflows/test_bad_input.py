"""What cannot be a workflow is refused in a sentence, before anything is written."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from taskworks import Unique, Workflow, chain, task
from taskworks.exceptions import InvalidWorkflow, WorkflowDoesNotExist
from taskworks.models import Step, TaskRun
from taskworks.models import Workflow as Row
from taskworks.workflows import steps
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import read, step


@task(unique=Unique())
def only_one() -> None: ...


@task
def returns() -> Any:
    return tasks.returned


@pytest.fixture(autouse=True)
def _nothing_is_written() -> Iterator[None]:
    yield
    if not tasks.executed:
        assert not any(model.objects.exists() for model in (TaskRun, Row, Step))


@pytest.fixture
def flow() -> Workflow:
    return Workflow("nightly")


def nested(levels: int) -> Workflow:
    flow = Workflow(f"level {levels}")
    if levels > 1:
        flow.add("deeper", nested(levels - 1))
    else:
        flow.add("a", step, "a")
    return flow


def two_of_one_name(flow: Workflow) -> None:
    flow.add("a", step, "a")
    flow.each("a", step, [])


def after_one_of_another(flow: Workflow) -> None:
    other = Workflow("other").add("b", step, "b")
    flow.add("a", step, "a", after=other)


def after_a_misspelt_one(flow: Workflow) -> None:
    flow.add("extract", step, "a")
    flow.add("b", step, "b", after="extrakt")


def after_too_many(flow: Workflow) -> None:
    many = [flow.add(str(number), step, "a") for number in range(1001)]
    flow.add("last", step, "b", after=many)


def within_itself(flow: Workflow) -> None:
    other = Workflow("other")
    flow.add("other", other)
    other.add("flow", flow)


def unserializable(flow: Workflow) -> None:
    flow.add("a", step, object())
    flow.enqueue()


def too_large(flow: Workflow) -> None:
    flow.each("a", step, [["small"], ["x" * 2_000_000]])
    flow.enqueue()


@pytest.mark.parametrize(
    ("build", "error", "parts"),
    [
        (lambda flow: flow.add("a", len, []), InvalidWorkflow, ["Step 'a'", "@task"]),
        (lambda flow: flow.each("a", print, [[1]]), InvalidWorkflow, ["item 0", "'a'", "@task"]),
        (lambda flow: flow.add("", step, "a"), InvalidWorkflow, ["1 to 128"]),
        (lambda flow: flow.add("x" * 129, step, "a"), InvalidWorkflow, ["1 to 128"]),
        (lambda flow: flow.add("a\0", step, "a"), InvalidWorkflow, ["printable"]),
        (lambda flow: flow.add(7, step, "a"), InvalidWorkflow, ["not 7"]),
        (two_of_one_name, InvalidWorkflow, ["'nightly'", "'a' already"]),
        (after_one_of_another, InvalidWorkflow, ["the step 'b' of another workflow"]),
        (after_a_misspelt_one, InvalidWorkflow, ["'extrakt'", "Did you mean 'extract'?"]),
        (lambda flow: flow.add("a", step, "a", after=7), InvalidWorkflow, ["not 7"]),
        (after_too_many, InvalidWorkflow, ["1,001", "1,000", "group"]),
        (lambda flow: flow.add("deep", nested(5)), InvalidWorkflow, ["5 levels", "6"]),
        (within_itself, InvalidWorkflow, ["within itself"]),
        (lambda flow: flow.add("a", Workflow("b"), 1), InvalidWorkflow, ["no arguments"]),
        (lambda flow: flow.add("a", step.step("a"), 1), InvalidWorkflow, ["not to both"]),
        (lambda flow: flow.each("a", step, ["text"]), TypeError, ["Item 0 of group 'a'"]),
        (unserializable, TypeError, ["step 'a'", "args"]),
        (too_large, ValueError, ["item 1 of step 'a'"]),
        (lambda _: chain(only_one).enqueue(), InvalidWorkflow, ["unique", "only_one"]),
        (lambda _: Workflow("a", on_failure="explode"), InvalidWorkflow, ["'explode'"]),
        (lambda _: Workflow(" a"), InvalidWorkflow, ["spaces"]),
        (lambda _: Workflow("a", metadata={"taskworks.x": 1}), InvalidWorkflow, ["reserved"]),
        (lambda _: Workflow.get_result("nonsense"), WorkflowDoesNotExist, ["nonsense"]),
        (lambda _: Workflow.get_result(str(uuid4())), WorkflowDoesNotExist, ["no workflow"]),
    ],
)
def test_it_says_what_and_where(
    build: Callable[[Workflow], Any], error: type[Exception], parts: list[str], flow: Workflow
) -> None:
    with pytest.raises(error) as caught:
        build(flow)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("add", "error", "parts"),
    [
        (lambda result: result.add("b", len), InvalidWorkflow, ["Step 'b'", "@task"]),
        (lambda result: result.add("", step, "b"), InvalidWorkflow, ["1 to 128"]),
        (
            lambda result: result.add("b", step, "b", after=[str(n) for n in range(1001)]),
            InvalidWorkflow,
            ["1,001", "1,000", "group"],
        ),
        (lambda result: result.add("b", step, "b", after=7), InvalidWorkflow, ["not 7"]),
        (lambda result: result.add("deep", nested(5)), InvalidWorkflow, ["6 levels", "5"]),
        (lambda result: result.add("b", Workflow("c"), 1), InvalidWorkflow, ["no arguments"]),
        (lambda result: result.add("b", step, object()), TypeError, ["step 'b'", "args"]),
        (lambda result: result.each("b", print, [[1]]), InvalidWorkflow, ["item 0", "@task"]),
        (lambda result: result.each("b", step, ["b"]), TypeError, ["Item 0 of group 'b'"]),
        (lambda result: result.add("b", only_one), InvalidWorkflow, ["unique", "only_one"]),
    ],
)
def test_what_is_added_to_one_that_is_stored(
    add: Callable[[Any], Any], error: type[Exception], parts: list[str], work: Work
) -> None:
    flow = Workflow("stored")
    flow.add("a", step, "a")
    result = flow.enqueue()
    with pytest.raises(error) as caught:
        add(result)
    for part in parts:
        assert part in str(caught.value)
    assert [one.name for one in result.steps()] == ["a"]
    assert work() == ["a"]


@pytest.mark.parametrize("value", [object(), "x" * 2_000_000], ids=["no JSON", "too large"])
def test_a_result_that_cannot_be_stored_fails_its_step(value: Any, work: Work) -> None:
    tasks.returned = value
    flow = Workflow("odd")
    flow.add("a", returns)
    flow.add("b", step, "b", after="a")
    flow.add("tidy", step, "tidy", after="b", any_end=True)
    result = flow.enqueue()
    assert work() == ["tidy"]
    result.refresh()
    assert (result.status, result.counts()["failed"]) == ("failed", 1)


def test_five_levels_are_possible(work: Work) -> None:
    result = nested(5).enqueue()
    assert work() == ["a"]
    result.refresh()
    assert result.status == "successful"


def test_no_more_runs_than_are_enqueued_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("steps", "builder"):
        monkeypatch.setattr(f"taskworks.workflows.{module}.MAX_STEPS", 10)
    monkeypatch.setattr("taskworks.backends.new_members.MAX_STEPS", 10)
    flow = Workflow("many")
    with pytest.raises(InvalidWorkflow, match=r"more than 10 runs|more than 10,000 runs"):
        flow.each("a", step, [["a"]] * 11)
    inner = Workflow("inner")
    flow.add("inner", inner)
    flow.each("b", step, [["b"]] * 6)
    inner.each("c", step, [["c"]] * 6)
    with pytest.raises(InvalidWorkflow, match="Add the others"):
        flow.enqueue()


def test_no_more_edges_than_are_sensible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskworks.backends.new_members.MAX_EDGES", 10)
    flow = Workflow("many")
    first = [flow.add(str(number), step, "a") for number in range(4)]
    flow.each("b", step, [["b"]] * 3, after=first)
    with pytest.raises(InvalidWorkflow, match="a step between"):
        flow.enqueue()


def test_no_more_members_than_a_workflow_has(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    monkeypatch.setattr("taskworks.backends.workflows.MAX_MEMBERS", 2)
    flow = Workflow("many")
    flow.add("a", step, "a")
    result = flow.enqueue()
    result.add("b", step, "b")
    with pytest.raises(InvalidWorkflow, match="more than 2 runs"):
        result.add("c", step, "c")
    assert work() == ["a", "b"]


def test_a_fixed_time_cannot_be_given_to_what_waits() -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    for add in ("add", "each"):
        flow = Workflow("late")
        flow.add("a", step.using(run_after=tomorrow), "a")
        getattr(flow, add)("b", step.using(run_after=tomorrow), [["b"]], after="a")
        with pytest.raises(InvalidWorkflow, match=r"'b' follows others.*a timedelta"):
            flow.enqueue()


def test_results_that_are_missing(work: Work) -> None:
    flow = Workflow("results")
    flow.add("a", step, "a")
    flow.add("of none", read, "b", after="a")
    flow.each("group", step, [["x"]])
    flow.add("of a group", read, "group", after="group")
    flow.add("of later", read, "last")
    flow.add("last", step, "last", after="of later")
    result = flow.enqueue()
    work()
    assert result.result("a") == "A"
    errors = {
        one.name: one.task_result.errors[0].traceback.strip().splitlines()[-1]
        for one in result.steps()
        if one.task_result and one.task_result.errors
    }
    assert "has no step 'b'" in errors["of none"]
    assert "use results('group')" in errors["of a group"]
    assert "'last' has not succeeded: it is blocked" in errors["of later"]
    with pytest.raises(LookupError, match=r"use result\('a'\)"):
        [*result.results("a")]
    with pytest.raises(LookupError, match="no step 'grp'"):
        result.step("grp")
    with pytest.raises(LookupError, match="no step 'lost'"):
        result.retry(from_="lost")


def test_the_limits_are_those_of_the_pages() -> None:
    limits = (steps.MAX_STEPS, steps.MAX_MEMBERS, steps.MAX_PREDECESSORS, steps.MAX_DEPTH)
    assert limits == (10_000, 100_000, 1000, 5)
