"""Steps that are recorded are not repeated."""

from pathlib import Path
from typing import Any

import pytest

from taskworks import Task
from taskworks.models import RunState, StepRecord, TaskRun
from tests.behavior import run_of, run_worker
from tests.steps import shelf

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("task", [shelf.two_steps, shelf.two_steps_async])
def test_a_step_that_was_recorded_is_not_repeated(task: Task[Any, Any]) -> None:
    shelf.broken.add("second")
    result = task.enqueue()
    run_worker()
    result.refresh()
    assert run_of(result).state == RunState.FAILED
    assert shelf.done == ["first", "second", "second", "second"]
    shelf.broken.clear()
    assert result.retry()
    run_worker()
    result.refresh()
    assert result.return_value == ["first", "second"]
    assert shelf.done == ["first", "second", "second", "second", "second"]
    assert {*StepRecord.objects.values_list("name", flat=True)} == {"first", "second"}


def test_a_crash_between_two_steps(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.touch()
    result = shelf.two_steps_in_a_process.enqueue(str(file))
    run_worker()
    result.refresh()
    assert result.return_value == [5, 6]
    key = file.read_text().splitlines()[1]
    assert file.read_text().splitlines() == ["first", key, "second"]
    assert TaskRun.objects.get().failures == 1


def test_gathered_steps_are_known_by_their_names() -> None:
    shelf.broken.add("page 3")
    result = shelf.gathered.enqueue(5)
    run_worker()
    shelf.broken.clear()
    assert result.retry()
    run_worker()
    result.refresh()
    assert result.return_value == [f"page {n}" for n in range(5)]
    assert {name: shelf.done.count(name) for name in shelf.done} == {
        **{f"page {n}": 1 for n in (0, 1, 2, 4)},
        "page 3": 4,
    }
