"""A member is not deleted before its workflow, whoever retries it in that moment."""

from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from taskworks import Workflow, WorkflowResult
from taskworks.actions import run_actions, workflow_actions
from taskworks.actions.run_actions import Verdict
from taskworks.duties.prune import prune
from taskworks.duties.unblock import unblock_all
from taskworks.models import Edge, RunState, Step, TaskRun
from taskworks.models import Workflow as Row
from taskworks.options.retention import Rule
from taskworks.store import Store
from taskworks.store.workflow_retries import is_being_deleted
from tests.connections import are_blocked, begin_elsewhere, held_elsewhere
from tests.effort import EVERY_CASE
from tests.waiting import wait_for
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import step
from tests.workflows.test_growth import without_sqlite

OLD = [Rule("default", outcome, timedelta()) for outcome in ("successful", "failed", "cancelled")]
MEMBERS = 6


def failed(work: Work) -> WorkflowResult:
    """Of its steps, one has failed, two wait in vain, and three have succeeded."""
    tasks.failing.add("x")
    flow = Workflow("old")
    flow.each("group", step, [["a"], ["b"], ["c"]])
    flow.add("x", step, "x", after="group")
    flow.each("lost", step, [["d"], ["e"]], after="x")
    result = flow.enqueue()
    work()
    assert Row.objects.filter(finished_at=None).count() == 0
    return result


def retry_all(store: Store, result: WorkflowResult) -> Callable[[], Any]:
    return lambda: store.retry_workflow(UUID(result.id))


def retry_one(store: Store, result: WorkflowResult) -> Callable[[], Any]:
    run = TaskRun.objects.get(state=RunState.FAILED)
    return lambda: store.retry_member(run)


@pytest.mark.thorough_on_servers
@pytest.mark.parametrize("retry", [retry_all, retry_one])
@pytest.mark.parametrize("chunk", [2, 1000])
def test_all_of_it_is_deleted_or_nothing(
    store: Store, work: Work, monkeypatch: pytest.MonkeyPatch, retry: Any, chunk: int
) -> None:
    monkeypatch.setattr("taskworks.duties.prune.MAX_CHUNK", chunk)
    kept = 0
    for number in count(0, 1 if EVERY_CASE else 29):
        again = retry(store, failed(work))
        goes_on, retried = prune_while(store, again, number)
        left = TaskRun.objects.count()
        if retried:
            kept += 1
            assert left == MEMBERS, f"{left} members are left, at statement {number}"
            tasks.failing.clear()
            unblock_all(store)
            assert work() == ["x", "d", "e"]
            prune(store, OLD)
        elif Row.objects.exists():  # prune has passed by what the other one had locked
            assert is_being_deleted(Row.objects.get(parent=None)), "it could still be retried"
            prune(store, OLD)
        assert not any(model.objects.exists() for model in (TaskRun, Row, Step, Edge)), number
        if not goes_on:
            break
    assert kept > 0


def prune_while(store: Store, do: Callable[[], Any], at: int) -> tuple[bool, Any]:
    """
    Prune; another connection begins to do something just before the statement with this number.
    Return whether there was one, and what that has returned.
    """
    statements, others = count(), list[Future[Any]]()

    def watch(execute: Any, *arguments: Any) -> Any:
        # On SQLite it would wait for the transaction, and the transaction for it.
        waits = connection.vendor == "sqlite" and connection.in_atomic_block
        if next(statements) >= at and not others and not waits:
            others.append(begin_elsewhere(do))
            wait_for(lambda: others[0].done() or are_blocked(), "it is done, or waits")
        return execute(*arguments)

    with connection.execute_wrapper(watch):
        prune(store, OLD)
    return bool(others), others[0].result(timeout=60) if others else None


@without_sqlite
@pytest.mark.parametrize("retry", [retry_all, retry_one])
def test_what_is_being_retried_is_passed_by(store: Store, work: Work, retry: Any) -> None:
    again = retry(store, failed(work))
    with held_elsewhere(again) as retried:
        assert retried
        assert prune(store, OLD) == 0
    assert TaskRun.objects.count() == MEMBERS
    assert prune(store, OLD) == 0


def test_what_is_being_deleted_says_so_when_it_is_retried(store: Store, work: Work) -> None:
    failed(work)
    # Of three more that have failed, two at least are not deleted first.
    TaskRun.objects.filter(state=RunState.SUCCESSFUL).update(state=RunState.FAILED)
    [of_failed] = [rule for rule in OLD if rule.outcome == "failed"]
    assert store.prune_workflow(of_failed, None, limit=1).runs == 1
    answers = [workflow_actions.retry(row)[:2] for row in Row.objects.all()]
    answers += [workflow_actions.retry(row, again=True)[:2] for row in Row.objects.all()]
    answers += map(run_actions.retry, TaskRun.objects.filter(state=RunState.FAILED))
    reason = "The workflow 'old' ended long ago and is being deleted: nothing of it can be"
    assert len(answers) >= 8
    for verdict, why in answers:
        assert (verdict, why) == (Verdict.NOT_APPLICABLE, f"{reason} retried any more.")


def test_what_is_within_one_that_is_being_cancelled_says_so(store: Store, work: Work) -> None:
    result = failed(work)
    Row.objects.filter(id=result.id).update(finished_at=None, stopping_at=store.read_clock())
    answers = [workflow_actions.retry(row)[:2] for row in Row.objects.all()]
    answers.append(run_actions.retry(TaskRun.objects.get(state=RunState.FAILED)))
    for verdict, why in answers:
        assert verdict == Verdict.NOT_APPLICABLE
        assert "The workflow 'old' is being cancelled: what has failed in it can be retried" in why
    succeeded = TaskRun.objects.filter(state=RunState.SUCCESSFUL)[0]
    assert "Only a failed or cancelled run" in run_actions.retry(succeeded).reason
