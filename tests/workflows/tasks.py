"""Steps for workflows."""

from typing import Any

from taskworks import TaskContext, task

executed: list[str] = []  # the labels of the attempts, in order
failing: set[str] = set()  # the labels of steps that fail
returned: Any = None  # by a step that returns something odd


@task(takes_context=True)
def step(context: TaskContext, label: str) -> str:
    executed.append(label)
    if label in failing:
        raise ValueError(f"{label} fails")
    return label.upper()


@task(takes_context=True)
def charge(context: TaskContext) -> None:
    context.step("charge", executed.append, "charge")


@task(takes_context=True)
def gather(context: TaskContext, group: str) -> list[Any]:
    executed.append(f"gather {group}")
    assert context.workflow
    return [*context.workflow.results(group)]


@task(takes_context=True)
def read(context: TaskContext, name: str) -> Any:
    assert context.workflow
    return context.workflow.result(name)


@task(takes_context=True)
def grow(context: TaskContext, label: str, fails_after: bool = False) -> None:
    executed.append(label)
    assert context.workflow
    context.workflow.add(f"{label} more", step, f"{label} more")
    context.workflow.each(f"{label} group", step, [[f"{label} a"], [f"{label} b"]])
    if fails_after and context.attempt == 1:
        raise ValueError("after it has grown")


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)
