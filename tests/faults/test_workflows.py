"""Workflows, while workers are killed and frozen (catalogue A)."""

import os
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from uuid import UUID

import pytest

from taskworks import WorkflowResult
from taskworks.models import Edge, Step, StepRecord, TaskRun, Workflow
from taskworks.models.run import IN_HAND
from tests.connections import begin_elsewhere
from tests.faults.havoc import Havoc
from tests.faults.invariants import assert_invariants
from tests.faults.pace import PACE, SLACK
from tests.faults.scene import Scene
from tests.faults.workflow_shelf import KINDS, RUNS, Kind, charges
from tests.waiting import wait_for

NUMBER = int(os.environ.get("TASKWORKS_FAULTS_WORKFLOWS", "1000"))
SEED = int(os.environ.get("TASKWORKS_FAULTS_SEED", "18"))
KILLS, FREEZES, STOPS = 14, 6, 4
AT_ONCE = 60  # workflows that have not ended
Flows = list[tuple[Kind, WorkflowResult]]


@pytest.mark.fault(47)
@pytest.mark.timeout(3600)
def test_47_workflows_end_rightly_whatever_dies(scene: Scene) -> None:
    schedule = random.Random(SEED)
    havoc = Havoc(scene, 4, schedule=schedule)
    strikes = [havoc.kill] * KILLS + [havoc.freeze] * FREEZES + [havoc.stop] * STOPS
    schedule.shuffle(strikes)
    with enqueuing() as flows:
        havoc.strike(ended_runs, NUMBER * RUNS, strikes)
    flows += [new_flow(place) for place in range(len(flows), NUMBER)]
    scene.accept(TaskRun.objects.exclude(id__in=Step.objects.filter(name="failed").values("id")))
    havoc.finish(ended_runs, sum(map(ending_in, flows)))
    scene.recovery = havoc.slowest
    wait_for(
        lambda: not Workflow.objects.filter(finished_at=None).exists(),
        "all workflows have ended",
        PACE.rescue + SLACK,
    )
    assert_each_has_ended_rightly(flows)
    assert_none_has_ended_twice(scene, flows)
    assert_no_step_was_repeated(scene)
    assert_what_waits_has_a_reason()
    assert_each_began_after_what_it_follows(scene)
    starts = Counter(entry.run for entry in scene.ledger.entries("start"))
    again = sum(number - 1 for number in starts.values())
    scene.sees(
        f"{len(flows):,} workflows of {RUNS} runs ended once, each as it should; {len(strikes)} "
        f"strikes, {again} runs were started again"
    )
    waiting = TaskRun.objects.blocked().count()
    assert_invariants(scene, crashes=KILLS + FREEZES, waiting=waiting)


@contextmanager
def enqueuing() -> Iterator[Flows]:
    """
    Keep some workflows before the workers while this lasts, so that each strike finds one at work,
    however fast they are.
    """
    flows, is_over = list[tuple[Kind, WorkflowResult]](), Event()

    def enqueue() -> None:
        while not is_over.wait(0.01):
            unfinished = Workflow.objects.filter(parent=None, finished_at=None).count()
            flows.extend(new_flow(len(flows)) for _ in range(unfinished, AT_ONCE))

    enqueued = begin_elsewhere(enqueue)
    try:
        yield flows
    finally:
        is_over.set()
        enqueued.result(timeout=600)


def new_flow(place: int) -> tuple[Kind, WorkflowResult]:
    kind = KINDS[place % len(KINDS)]
    return kind, kind.enqueue(str(place))


def ended_runs() -> int:
    return TaskRun.objects.finished().exclude(workflow=None).count()


def ending_in(flow: tuple[Kind, WorkflowResult]) -> int:
    kind, _ = flow
    return sum(number for state, number in kind.counts if state != "blocked")


def assert_each_has_ended_rightly(flows: Flows) -> None:
    """Each run is there once, the callbacks among them."""
    for kind, result in flows:
        result.refresh()
        became = (result.status, dict(sorted(result.counts().items())))
        assert became == (kind.status, dict(kind.counts)), f"{kind.enqueue.__name__} {result.id}"


def assert_none_has_ended_twice(scene: Scene, flows: Flows) -> None:
    told = Counter(entry.run for entry in scene.ledger.entries("ended"))
    assert told
    assert told.keys() <= {str(id_) for id_ in Workflow.objects.values_list("id", flat=True)}
    assert max(told.values()) == 1, f"ended twice: {told.most_common(3)}"


def assert_no_step_was_repeated(scene: Scene) -> None:
    """Once it is recorded, no attempt calls it. One that was frozen in between still does."""
    began: dict[tuple[str, int], float] = {}
    charged: dict[str, float] = {}
    for entry in scene.ledger.entries():
        if entry.event == "start":
            began[entry.run, entry.pid] = entry.at
        elif entry.event == "charged":
            charged.setdefault(entry.run, entry.at)
        elif entry.event == "effect" and entry.run in charged:
            assert began[entry.run, entry.pid] < charged[entry.run], f"repeated: {entry}"
    runs = TaskRun.objects.filter(task_path=charges.module_path)
    assert StepRecord.objects.count() == runs.count() == len(charged)


def assert_what_waits_has_a_reason() -> None:
    """Each waits for something that has failed, or waits itself."""
    reasons = {
        *TaskRun.objects.filter(state__in=["failed", "blocked"]).values_list("id", flat=True),
        *Workflow.objects.filter(outcome="failed").values_list("id", flat=True),
    }
    edges = dict(Edge.objects.values_list("run", "after"))
    blocked = {*TaskRun.objects.blocked().values_list("id", flat=True)}
    assert edges.keys() == blocked
    assert {*edges.values()} <= reasons
    assert not TaskRun.objects.filter(state__in=IN_HAND).exists()


def assert_each_began_after_what_it_follows(scene: Scene) -> None:
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    for entry in scene.ledger.entries():
        moments = {"start": began, "end": ended}.get(entry.event, {})
        moments.setdefault(entry.run, entry.at)
    within: dict[UUID, list[UUID]] = defaultdict(list)  # runs and workflows, by their workflow
    for rows in (
        TaskRun.objects.exclude(workflow=None).values_list("id", "workflow"),
        Workflow.objects.exclude(parent=None).values_list("id", "parent"),
    ):
        for id_, workflow in rows:
            within[workflow].append(id_)

    def runs_of(id_: UUID) -> list[UUID]:
        parts = within.get(id_)
        return [run for part in parts for run in runs_of(part)] if parts else [id_]

    for step in Step.objects.all():
        before = [UUID(id_) for id_, rule in step.after if rule == "success"]
        ends = [ended[str(run)] for id_ in before for run in runs_of(id_) if str(run) in ended]
        starts = [began[str(run)] for run in runs_of(step.id) if str(run) in began]
        assert not starts or max(ends, default=0.0) <= min(starts), f"{step} was too early"
