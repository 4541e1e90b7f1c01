"""The sweep ends workflows whose last member has ended, and whose worker died before it looked."""

import math
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from taskworks import Workflow
from taskworks.backends import workflow_ends
from taskworks.backends.workflow_ends import Portions
from taskworks.duties import heartbeat as beats
from taskworks.duties.heartbeat import Heartbeat
from taskworks.duties.workflows import EndedMembers, WorkflowSweep, look_after_all
from taskworks.models import Edge, RunState, TaskRun, Worker
from taskworks.models import Workflow as Row
from taskworks.signals import task_cancelled, workflow_finished
from taskworks.store import Store
from tests.behavior import received
from tests.clocks import Clock
from tests.on_request import on_request
from tests.workflows.conftest import Work
from tests.workflows.missed import TABLES, missed, with_a_callback, without
from tests.workflows.tasks import step

KINDS = pytest.mark.parametrize("kind", [with_a_callback, without])


@KINDS
def test_it_takes_as_many_statements_for_many_as_for_few(
    store: Store, kind: Callable[[], Workflow]
) -> None:
    counts = []
    for number in (10, 40):
        missed(kind(), number)
        sweep = WorkflowSweep(store)
        with CaptureQueriesContext(connection) as queries:
            assert not sweep.step()
        assert sweep.has_changed
        assert not Row.objects.filter(finished_at=None, parent__isnull=False).exists()
        counts.append(len(queries))
        for model in TABLES:
            model._default_manager.all().delete()
    assert counts[0] == counts[1] < 35


def test_groups_that_wait_cost_nothing_more(store: Store) -> None:
    """Of many imports that have begun, each has a group that waits for its first step."""
    counts = []
    for number in (5, 40):
        for _ in range(number):
            flow = Workflow("import")
            flow.add("fetch", step, "fetch")
            flow.each("load", step, [["a"], ["b"]], after="fetch")
            flow.add("tidy", step, "tidy", after="load", any_end=True)
            flow.enqueue()
        sweep = WorkflowSweep(store)
        with CaptureQueriesContext(connection) as queries:
            assert not sweep.step()
        assert not sweep.has_changed
        counts.append(len(queries))
    assert counts[0] == counts[1] < 6


def test_a_heartbeat_goes_on_as_long_as_it_finds_some(
    store: Store, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.duties.workflows.CHUNK", 4)
    monkeypatch.setattr(beats, "SWEEPING_WORKFLOWS", 100.0)
    missed(without(), 10)
    heartbeat_of(store).beat()
    assert not Row.objects.filter(finished_at=None).exists()


@on_request
@KINDS
def test_10_000_are_mended_within_a_minute(
    store: Store, settings: Any, kind: Callable[[], Workflow], capsys: pytest.CaptureFixture[str]
) -> None:
    """In few statements; how long this machine takes, which may be busy, is printed."""
    settings.TASKWORKS = {"HEARTBEAT_INTERVAL": 5.0, "WORKER_TIMEOUT": 30.0}
    missed(kind(), 10_000)
    rows = Row.objects.count()
    heartbeat, took, statements = heartbeat_of(store), [], 0
    ends = Row.objects.filter(finished_at=None)
    callbacks = Edge.objects.all()
    while (ends.filter(parent__isnull=False) if kind is with_a_callback else ends).exists():
        began = time.monotonic()
        with CaptureQueriesContext(connection) as queries:
            heartbeat.beat()
        took.append(time.monotonic() - began)
        statements += len(queries)
    assert not callbacks.exists()
    assert statements <= rows // 2
    if kind is with_a_callback:
        assert TaskRun.objects.ready().unlimited().count() == 10_000
    with capsys.disabled():
        print(
            f"\n{connection.vendor}, {kind.__name__}: {len(took)} heartbeats, {statements} "
            f"statements, of {sum(took):.1f} s, the longest {max(took):.1f} s; "
            f"{5 * len(took) + sum(took):.0f} s in all"
        )


def heartbeat_of(store: Store) -> Heartbeat:
    row = Worker(id=uuid4(), label="of a test", hostname="here", pid=1)
    store.register(row)
    worker: UUID = row.id
    return Heartbeat(store, lambda: worker, lambda given_up: None)


def test_a_slow_receiver_holds_up_a_step_once(store: Store) -> None:
    """The step of a heartbeat looks at the time after each end that somebody is told of."""
    missed(without(), 5)
    sweep = WorkflowSweep(store)
    with received(workflow_finished) as sent:
        assert sweep.step(within=0.0)
        assert len(sent) == 1
        assert not sweep.step()
    assert len(sent) == 5
    assert not Row.objects.filter(finished_at=None).exists()


def test_a_slow_receiver_of_cancellations_holds_up_a_step_once(store: Store) -> None:
    flow = Workflow("to cancel")
    flow.each("group", step, [["a"]] * 5)
    result = flow.enqueue()
    assert store.begin_to_stop(UUID(result.id))
    sweep, told = WorkflowSweep(store), [0]
    with received(task_cancelled) as sent:
        while told[-1] < 5:
            sweep.step(within=0.0)
            told.append(len(sent))
            assert TaskRun.objects.filter(state=RunState.CANCELLED).count() == len(sent)
        look_after_all(store)
    assert sorted({*told}) == [0, 1, 2, 3, 4, 5]
    assert not Row.objects.filter(finished_at=None).exists()


@pytest.mark.parametrize("state", [RunState.SUCCESSFUL, RunState.FAILED])
def test_a_slow_receiver_holds_up_a_worker_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, state: RunState
) -> None:
    """Between the writes of outcomes; the sweep does the rest."""
    monkeypatch.setattr("taskworks.duties.workflows.MAX_LOOK", 0.0)
    for _ in range(5):
        without().enqueue()
    TaskRun.objects.update(state=state, finished_at=store.read_clock())
    ended: Any = [SimpleNamespace(run=run) for run in TaskRun.objects.all()]
    members = EndedMembers(store)
    members.recorded(ended)
    with received(workflow_finished) as sent:
        assert members.look_after()
        assert len(sent) == 1
        assert not members.look_after()
        look_after_all(store)
    assert len(sent) == 5


def test_portions_grow_while_they_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(workflow_ends, "time", clock)

    def sizes(until: float, *, is_heard: bool = True) -> list[int]:
        portions, sizes = Portions(8, clock.now + until, is_heard=is_heard), list[int]()
        for some in portions.of(range(40)):
            sizes.append(len(some))
            clock.now += 100.0  # for the database to write them
            with portions.telling():
                clock.now += 0.5 if len(sizes) == 5 else 0.01
        return sizes

    assert sizes(10_000) == [1, 2, 4, 8, 8, 1, 2, 4, 8, 2]
    assert sizes(250) == [1, 2, 4]
    assert sizes(math.inf) == sizes(10_000, is_heard=False) == [8] * 5


def test_an_end_that_is_written_is_told_although_what_comes_after_it_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> int:
        raise OperationalError("the connection was lost")

    missed(without(), 3)
    monkeypatch.setattr(store, "unblock_after", fail)
    with received(workflow_finished) as sent, pytest.raises(OperationalError, match="was lost"):
        WorkflowSweep(store).step()
    ended = [UUID(one["workflow_result"].id) for one in sent]
    assert {*ended} == {*Row.objects.exclude(finished_at=None).values_list("id", flat=True)}
    assert len(ended) > 0
