"""Workflows of 20 runs, and what is to become of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.dispatch import receiver

from taskworks import Batch, TaskContext, Workflow, WorkflowResult, task
from taskworks.signals import workflow_finished
from tests.faults import ledger
from tests.faults.shelf import in_ledger, note

RUNS = 20


@receiver(workflow_finished)
def note_ended(workflow_result: WorkflowResult, **_: Any) -> None:
    """Sent once, by who has written it."""
    ledger.write("ended", workflow_result.id, 0)


@task(takes_context=True)
@in_ledger
def part(context: TaskContext, label: str) -> str:
    return label


@task(takes_context=True)
@in_ledger
def fails(context: TaskContext, label: str) -> str:
    raise ValueError(f"{label} fails")


@task(takes_context=True)
@in_ledger
def charges(context: TaskContext, label: str) -> str:
    context.step("charge", note, context, "effect")
    note(context, "charged")
    return label


@task(takes_context=True)
@in_ledger
def grows(context: TaskContext, label: str) -> str:
    assert context.workflow
    context.workflow.each("more", part, parts(18))
    return label


def parts(number: int) -> list[list[str]]:
    return [[str(place)] for place in range(number)]


@dataclass(frozen=True, slots=True)
class Kind:
    enqueue: Callable[[str], WorkflowResult]
    status: str = "successful"
    counts: tuple[tuple[str, int], ...] = (("successful", RUNS),)


def in_turn(name: str) -> WorkflowResult:
    flow, before = Workflow(name), None
    for place in range(RUNS):
        before = flow.add(str(place), charges if place % 7 == 0 else part, str(place), after=before)
    return flow.enqueue()


def out_and_in(name: str) -> WorkflowResult:
    flow = Workflow(name)
    first = flow.add("first", part, "first")
    group = flow.each("group", part, parts(17), after=first)
    flow.add("then", part, "then", after=group)
    flow.add("tidy", part, "tidy", after="then", any_end=True)
    return flow.enqueue()


def nested(name: str) -> WorkflowResult:
    flow = Workflow(name)
    flow.add("first", part, "first")
    flow.add("one", of_seven(), after="first")
    flow.add("other", of_seven(), after="one")
    flow.each("group", part, parts(4), after="one")
    flow.add("last", part, "last", after=["other", "group"])
    return flow.enqueue()


def of_seven() -> Workflow:
    inner = Workflow("inner")
    inner.add("a", charges, "a")
    inner.each("b", part, parts(5), after="a")
    inner.add("c", part, "c", after="b")
    return inner


def waits_in_vain(name: str) -> WorkflowResult:
    flow = Workflow(name)
    flow.add("x", fails, "x")
    flow.each("lost", part, parts(8), after="x")
    flow.add("lost as well", part, "lost as well", after="lost")
    flow.add("tidy", part, "tidy", after="lost as well", any_end=True)
    before = None
    for place in range(9):
        before = flow.add(str(place), part, str(place), after=before)
    return flow.enqueue()


def stops(name: str) -> WorkflowResult:
    flow = Workflow(name, on_failure="stop")
    flow.add("first", part, "first")
    flow.add("x", fails, "x", after="first")
    flow.each("group", part, parts(16), after="x")
    flow.add("tidy", part, "tidy", after="group", any_end=True)
    flow.add("late", part, "late", after="tidy")
    return flow.enqueue()


def batch(name: str) -> WorkflowResult:
    with Batch(name, then=part.step("then"), failed=part.step("failed")) as jobs:
        for [label] in parts(RUNS - 1):
            jobs.add(part, label)
    return jobs.result


def grown(name: str) -> WorkflowResult:
    flow = Workflow(name)
    flow.add("grow", grows, "grow")
    flow.add("last", part, "last", after="grow")
    return flow.enqueue()


def in_pairs(name: str) -> WorkflowResult:
    flow = Workflow(name)
    for place in range(RUNS // 2):
        flow.add(f"first {place}", charges, f"first {place}")
        flow.add(f"then {place}", part, f"then {place}", after=f"first {place}")
    return flow.enqueue()


KINDS = (
    Kind(in_turn),
    Kind(out_and_in),
    Kind(nested),
    Kind(waits_in_vain, "failed", (("blocked", 9), ("failed", 1), ("successful", 10))),
    Kind(stops, "failed", (("cancelled", 17), ("failed", 1), ("successful", 2))),
    Kind(batch),
    Kind(grown),
    Kind(in_pairs),
)
