"""Workflows of every shape, in which any step fails."""

import pytest

from taskworks.models import Edge, RunState, TaskRun, Workflow
from tests.on_request import on_request
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.shapes import Built, Shape, cases

PARTS = 120


def check(shape: Shape, failing: str, work: Work) -> None:
    built = Built(shape)
    tasks.failing.add(failing)
    result = built.flow.enqueue()
    executed = work()
    result.refresh()
    assert sorted(executed) == sorted(built.expected(failing))
    assert result.status == ("failed" if failing else "successful")
    tasks.failing.clear()
    if failing:
        assert result.retry() == 1
        again = work()
        result.refresh()
        assert sorted([*executed, *again]) == sorted([*built.labels, failing, "then", "at last"])
        assert result.status == "successful"
    assert not Edge.objects.exists()
    assert not Workflow.objects.exclude(outcome="successful").exists()
    assert not TaskRun.objects.exclude(state=RunState.SUCCESSFUL).exists()
    TaskRun.objects.all().delete()
    Workflow.objects.all().delete()


@pytest.mark.thorough_on_servers
@pytest.mark.parametrize("case", [*cases(stride=97)], ids=lambda case: f"{case[0]} {case[1]}")
def test_some_shapes(case: tuple[Shape, str], work: Work) -> None:
    check(*case, work)


@on_request
@pytest.mark.parametrize("part", range(PARTS))
def test_every_shape(part: int, work: Work) -> None:
    for case in cases(PARTS, part):
        check(*case, work)
