"""What others do in any moment in which somebody looks whether a workflow has ended."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection

from taskworks import Workflow, WorkflowResult
from taskworks.database.clock import DatabaseClock
from taskworks.duties.unblock import unblock_all
from taskworks.models import Edge, Pause, RunState, TaskRun
from taskworks.models import Workflow as Row
from taskworks.models.pause import Scope
from taskworks.store import Store
from tests.connections import elsewhere
from tests.workflows.conftest import Work
from tests.workflows.tasks import step
from tests.workflows.test_growth import without_sqlite


def end_while(store: Store, result: WorkflowResult, do: Callable[[], Any], at: int) -> bool:
    """
    Look whether a workflow has ended; another connection does something just before the statement
    with this number. Return whether there was one.
    """
    statements = count()

    def watch(execute: Any, *arguments: Any) -> Any:
        if next(statements) == at:
            elsewhere(do)
        return execute(*arguments)

    with connection.execute_wrapper(watch):
        store.end_workflows([UUID(result.id)])
    return next(statements) > at


def ended(result: WorkflowResult, name: str, state: RunState) -> None:
    """As a worker writes it before it does anything else."""
    run = TaskRun.objects.filter(id=id_of(result, name))
    assert run.update(state=state, finished_at=DatabaseClock()) == 1


def id_of(result: WorkflowResult, name: str) -> UUID:
    run = result.step(name).task_result
    assert run
    return UUID(run.id)


def pass_on(store: Store, ended: UUID) -> int:
    return store.pass_on(store.followers([ended]))


def with_a_failure() -> Workflow:
    """``c`` is lost with ``x``, and ``tidy`` runs all the same once nothing else can go on."""
    flow = Workflow("fails")
    flow.add("x", step, "x")
    flow.add("c", step, "c", after="x")
    flow.add("tidy", step, "tidy", after="c", any_end=True)
    return flow


@without_sqlite
@pytest.mark.parametrize("fails", [False, True])
def test_a_follower_becomes_ready(store: Store, fails: bool) -> None:
    for number in count():
        flow = with_a_failure() if fails else Workflow("goes on")
        flow.add("a", step, "a")
        flow.add("b", step, "b", after="a")
        result = flow.enqueue()
        ended(result, "a", RunState.SUCCESSFUL)
        if fails:
            ended(result, "x", RunState.FAILED)
        a = id_of(result, "a")
        goes_on = end_while(store, result, partial(pass_on, store, a), number)
        states = dict(TaskRun.objects.values_list("id", "state"))
        assert Row.objects.get().outcome is None, f"it ended at statement {number}"
        if fails:
            assert states[id_of(result, "tidy")] == "blocked", f"too early at statement {number}"
        if not goes_on:
            break
        assert states[id_of(result, "b")] == "ready"
        TaskRun.objects.all().delete()
        Row.objects.all().delete()
        Edge.objects.all().delete()
    assert number > 0


@without_sqlite
@pytest.mark.parametrize("how", ["parked", "freed"])
def test_a_run_of_a_paused_task_begins_to_wait_or_is_freed(store: Store, how: str) -> None:
    for number in count():
        flow = with_a_failure()
        flow.add("p", step, "p")
        result = flow.enqueue()
        ended(result, "x", RunState.FAILED)
        run = TaskRun.objects.filter(id=id_of(result, "p"))
        pause = store.pause(
            Scope("task", "tests.workflows.tasks.step"), until=None, reason="", by=""
        )

        def park(run: Any = run, pause: Pause = pause) -> None:
            Edge.objects.create(run=run.get().id, after=pause.id, any_end=True)
            run.update(state=RunState.BLOCKED, claim_token=None)

        def free(run: Any = run, pause: Pause = pause) -> None:
            Pause.objects.all().delete()
            pass_on(store, pause.id)

        run.update(state=RunState.CLAIMED, claim_token=uuid4(), claimed_at=DatabaseClock())
        if how == "freed":
            park()
        goes_on = end_while(store, result, park if how == "parked" else free, number)
        assert Row.objects.get().outcome is None, f"it ended at statement {number}"
        tidy = TaskRun.objects.get(id=id_of(result, "tidy"))
        assert tidy.state == "blocked", f"too early at statement {number}"
        if not goes_on:
            break
        for model in (TaskRun, Row, Edge, Pause):
            model.objects.all().delete()
    assert number > 0


def test_what_runs_whatever_becomes_of_others_waits_for_what_is_about_to_begin(
    store: Store, work: Work
) -> None:
    """Another worker has ended ``a``, and has not unblocked ``b`` yet."""
    flow = with_a_failure()
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    flow.add("d", step, "d", after="tidy")
    result = flow.enqueue()
    ended(result, "a", RunState.SUCCESSFUL)
    ended(result, "x", RunState.FAILED)
    store.end_workflows([UUID(result.id)])
    assert result.counts() == {"successful": 1, "failed": 1, "blocked": 4}
    unblock_all(store)
    assert work() == ["b", "tidy", "d"]
    result.refresh()
    assert result.status == "failed"
