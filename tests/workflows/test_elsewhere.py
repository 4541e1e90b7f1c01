"""Workflows where else they are met: asynchronously, in other executors, backends and databases."""

import asyncio
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from taskworks import TaskContext, Workflow, chain, current_context, task
from taskworks.models import Schedule, TaskRun
from taskworks.models import Workflow as Row
from taskworks.schedules.firing import fire_now
from tests.behavior import run_worker
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import gather, read, step


@task
def start() -> str:
    return chain(step.step("a"), step.step("b")).enqueue().id


@task(typed=True)
def typed_step(number: int) -> int:
    return number + 1


@task
def whose() -> str | None:
    context = current_context()
    assert context
    return context.workflow and context.workflow.name


@task(transactional=True, takes_context=True, timeout=10)
def grows_and_fails(context: TaskContext, fails: bool) -> None:
    assert context.workflow
    context.workflow.add("more", step, "more")
    if fails:
        raise ValueError("after all")


@task(takes_context=True)
async def grows(context: TaskContext) -> Any:
    workflow = context.workflow
    assert workflow
    await workflow.aadd("more", step, "more")
    assert (await workflow.aget_result()).status == "running"
    return await workflow.aresult("a")


def ran(flow: Workflow) -> Any:
    """The result of a workflow that a worker has executed."""
    result = flow.enqueue()
    run_worker()
    result.refresh()
    assert result.status == "successful", [str(run.errors) for run in TaskRun.objects.all()]
    return result


def test_the_async_twins(work: Work) -> None:
    async def use() -> None:
        flow = Workflow("twins")
        flow.add("a", step, "a")
        flow.each("b", step, [["b1"]], after="a")
        result = await flow.aenqueue()
        await result.aadd("c", step, "c", after="b")
        await result.aeach("d", step, [["d1"]])
        assert (await result.acounts())["blocked"] == 2
        assert await result.aprogress() == 0.0
        assert [one.name for one in await result.asteps()] == ["a", "b", "c", "d"]
        assert await result.acancel()
        assert await result.aretry() == 4
        same = await Workflow.aget_result(result.id)
        await same.arefresh()
        assert same == result
        assert (await same.astep("a")).task_result is not None

    asyncio.run(use())
    assert sorted(work()) == ["a", "b1", "c", "d1"]
    result = Workflow.get_result(str(Row.objects.get(parent=None).id))
    assert asyncio.run(result.await_(5)).status == "successful"
    assert asyncio.run(result.aresult("a")) == "A"


def test_wait(work: Work) -> None:
    result = chain(step.step("a")).enqueue()
    with pytest.raises(TimeoutError, match="'chain'"):
        result.wait(timeout=0.01)
    work()
    assert result.wait(timeout=5).is_finished
    with transaction.atomic(), pytest.raises(RuntimeError):
        result.wait()


def test_a_worker_executes_one() -> None:
    flow = Workflow("nightly")
    a = flow.add("a", step, "a")
    group = flow.each("b", step, [["b1"], ["b2"]], after=a)
    flow.add("c", gather, "b", after=group)
    assert ran(flow).result("c") == ["B1", "B2"]


@pytest.mark.parametrize("executor", ["process", "async"])
def test_in_other_executors(executor: str) -> None:
    flow = Workflow("nightly")
    flow.add("a", step, "a")
    last = grows if executor == "async" else read.using(executor="process")
    flow.add("last", last, *([] if executor == "async" else ["a"]), after="a")
    assert ran(flow).result("last") == "A"


def test_a_transactional_task_adds_with_its_transaction() -> None:
    for fails, names in ((True, ["grow"]), (False, ["grow", "more"])):
        flow = Workflow("transactional")
        flow.add("grow", grows_and_fails, fails)
        result = flow.enqueue()
        run_worker()
        assert [one.name for one in result.steps()] == names


def test_typed_tasks_are_steps_and_are_validated(work: Work) -> None:
    flow = Workflow("typed")
    flow.add("a", typed_step, number=1)
    with pytest.raises(ValueError, match="number"):
        flow.add("b", typed_step, number="many")
    result = flow.enqueue()
    work()
    assert result.result("a") == 2


def test_a_task_and_a_schedule_can_start_one(work: Work) -> None:
    result = start.enqueue()
    assert work() == ["a", "b"]
    result.refresh()
    assert Workflow.get_result(result.return_value).status == "successful"
    schedule = Schedule(label="nightly", path=f"{__name__}.start", cron="@daily")
    schedule.save()
    fire_now(schedule)
    assert work() == ["a", "b"]
    assert Row.objects.filter(outcome="successful").count() == 2


def test_a_plain_run_is_in_none(work: Work) -> None:
    result = whose.enqueue()
    work()
    result.refresh()
    assert result.return_value is None
    flow = Workflow("mine")
    flow.each("group", whose, [[]])
    in_one = flow.enqueue()
    work()
    assert [*in_one.results("group")] == ["mine"]


def test_its_owner_is_that_of_its_runs_and_its_metadata_is_there() -> None:
    flow = Workflow("owned", owner="7", metadata={"day": "Monday"})
    flow.add("a", step, "a")
    flow.add("b", step.using(owner="8"), "b")
    result = flow.enqueue()
    owners = {run.args[0]: run.owner for run in TaskRun.objects.all()}
    assert owners == {"a": "7", "b": "8"}
    assert result.metadata == {"day": "Monday"}


@pytest.mark.parametrize("kind", ["Dummy", "Immediate"])
def test_backends_that_store_nothing_refuse_one(kind: str) -> None:
    entry = {"BACKEND": f"taskworks.backends.{kind.lower()}.{kind}Backend"}
    with override_settings(TASKS={"default": entry}):
        flow = chain(step.step("a"))
        with pytest.raises(NotImplementedError, match=r"run_tasks\(\)"):
            flow.enqueue()
    assert tasks.executed == []


def test_who_has_none_pays_nothing() -> None:
    """A finish, and what follows it, as a worker writes them."""
    step.enqueue("plain")
    with CaptureQueriesContext(connection) as queries:
        run_worker()
    touched = [one["sql"] for one in queries if "taskworks_step" in one["sql"]]
    assert touched == []


def test_a_worker_is_not_hurt_by_what_others_write_into_metadata(work: Work) -> None:
    result = chain(step.step("a")).enqueue()
    TaskRun.objects.update(metadata={"taskworks.workflow": "nonsense"})
    assert work() == ["a"]
    result.refresh()
    assert result.status == "successful"
