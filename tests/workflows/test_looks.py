"""When a worker looks whether the workflows have ended of which it has written members."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import Workflow, WorkflowResult
from taskworks import real_time as time
from taskworks.database.clock import DatabaseClock
from taskworks.duties import workflows
from taskworks.duties.unblock import Followers
from taskworks.duties.workflows import EndedMembers
from taskworks.execution import Attempt, prepare
from taskworks.framework import task_backends
from taskworks.models import RunState, TaskRun
from taskworks.models import Worker as Row
from taskworks.store import Store
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.pools import Sizes
from tests.clocks import Clock
from tests.connections import begin_elsewhere, elsewhere
from tests.waiting import wait_for
from tests.workflows import tasks
from tests.workflows.tasks import step

RARELY = 600.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """That of the looks."""
    clock = Clock()
    clock.now = time.monotonic()  # others compare it with theirs
    monkeypatch.setattr(workflows, "time", clock)
    return clock


@pytest.fixture
def members(store: Store, clock: Clock) -> EndedMembers:
    """Those of a worker that has just looked at all workflows."""
    members = EndedMembers(store)
    flow_of(1).enqueue()
    members.recorded([ended(run) for run in TaskRun.objects.all()])
    assert members.look_after()
    return members


def flow_of(number: int, on_failure: Any = "wait") -> Workflow:
    """A group of so many, and a run that follows them."""
    flow = Workflow("flow", on_failure=on_failure)
    flow.each("group", step, [[str(place)] for place in range(number)])
    flow.add("then", step, "then", after="group")
    return flow


def ready_in(result: WorkflowResult) -> list[TaskRun]:
    group = result.step("group").workflow
    assert group
    return [*TaskRun.objects.filter(workflow=UUID(group.id)).order_by("id")]


def ended(run: TaskRun, state: RunState = RunState.SUCCESSFUL) -> Attempt:
    """The attempt at a run whose outcome is written."""
    run.state, run.finished_at = state, DatabaseClock()
    run.save(update_fields=["state", "finished_at"])
    run.refresh_from_db()
    attempt = Attempt(run, "a label")
    prepare(attempt)
    return attempt


def number_of_statements(members: EndedMembers, *in_hand: TaskRun) -> int:
    with CaptureQueriesContext(connection) as queries:
        members.look_after(in_hand)
    return len(queries)


def test_no_look_at_a_workflow_of_which_the_worker_has_another_member(
    members: EndedMembers,
) -> None:
    result = flow_of(3).enqueue()
    first, second, third = ready_in(result)
    members.recorded([ended(first)])
    assert number_of_statements(members, second, third) == 0
    members.recorded([ended(second)])
    assert number_of_statements(members, third) == 0
    members.recorded([ended(third)])
    assert members.look_after([])
    assert result.counts() == {"successful": 3, "ready": 1}


def test_the_last_look_is_not_forgotten_if_the_other_member_does_not_end(
    members: EndedMembers,
) -> None:
    """It was given back, and has been executed by another worker by now."""
    result = flow_of(2).enqueue()
    first, second = ready_in(result)
    members.recorded([ended(first)])
    assert not members.look_after([second])
    elsewhere(lambda: ended(second))
    assert members.look_after([])
    assert result.counts() == {"successful": 2, "ready": 1}


def test_what_a_worker_takes_to_be_its_own_holds_up_no_end(
    members: EndedMembers, clock: Clock
) -> None:
    """It was given up and does not know: another worker has ended what it still executes."""
    result = flow_of(2).enqueue()
    first, second = ready_in(result)
    members.recorded([ended(first)])
    elsewhere(lambda: ended(second))
    assert not members.look_after([second])
    clock.now += workflows.LOOK_INTERVAL
    assert members.look_after([second])
    assert result.counts() == {"successful": 2, "ready": 1}


def test_other_workflows_are_looked_at_meanwhile(members: EndedMembers) -> None:
    one, other = flow_of(1).enqueue(), flow_of(2).enqueue()
    [alone], [first, second] = ready_in(one), ready_in(other)
    members.recorded([ended(alone), ended(first)])
    assert members.look_after([second])
    assert one.counts() == {"successful": 1, "ready": 1}
    assert other.counts() == {"successful": 1, "ready": 1, "blocked": 1}
    members.recorded([ended(second)])
    assert members.look_after([])
    assert other.counts() == {"successful": 2, "ready": 1}


def test_a_failure_stops_the_others_at_once(members: EndedMembers) -> None:
    result = flow_of(3, on_failure="stop").enqueue()
    first, second, third = ready_in(result)
    members.recorded([ended(first), ended(second, RunState.FAILED)])
    members.look_after([third])
    third.refresh_from_db()
    assert third.state == RunState.CANCELLED


def test_nothing_is_asked_for_that_could_follow_one_of_a_group(store: Store) -> None:
    result = flow_of(2).enqueue()
    followers = Followers(store)
    followers.recorded([ended(run) for run in ready_in(result)])
    with CaptureQueriesContext(connection) as queries:
        assert not followers.unblock()
    assert len(queries) == 0


def test_a_worker_ends_a_workflow_as_soon_as_its_last_member_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a sweep nor a second look has done it: members are finished, some at a time."""
    monkeypatch.setattr(workflows, "LOOK_INTERVAL", RARELY)
    result = flow_of(50).enqueue()
    worker = Worker(
        task_backends["default"],
        Options(queues=Queues(), sizes=Sizes(threads=2)),
    )
    monkeypatch.setattr(worker._threads.heartbeat, "_unblocks", False)
    working = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: "then" in tasks.executed, "what follows the group has been executed")
    finally:
        worker.stop()
        working.result(timeout=60)
    assert result.counts() == {"successful": 51}


def test_a_batch_goes_on_with_what_it_has_made_ready_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker ends the other member when the batch has just found nothing to claim."""
    other = Row(label="of another", hostname="here", pid=1)
    store.register(other)
    result = flow_of(2).enqueue()
    _, second = ready_in(result)
    in_hand = {"state": RunState.RUNNING, "claimed_by": other.id, "claim_token": uuid4()}
    TaskRun.objects.filter(id=second.id).update(claimed_at=DatabaseClock(), **in_hand)
    worker = Worker(task_backends["default"], Options(queues=Queues(), batch=True))
    claim = worker._intake.claim_the_last

    def claim_the_last(*given: Any) -> list[TaskRun]:
        runs = claim(*given)
        if not runs:
            elsewhere(lambda: ended(second))
        return runs

    monkeypatch.setattr(worker._intake, "claim_the_last", claim_the_last)
    monkeypatch.setattr(worker._intake, "room_due", dict)  # a claim with each turn
    worker.run()
    assert tasks.executed == ["0", "then"]
    assert result.counts() == {"successful": 3}
