"""A task whose work is done, and whose end is refused, is not attempted again."""

from pathlib import Path
from typing import Any

import pytest

from taskworks import Task, TaskResult
from taskworks.exceptions import InvalidOutputs
from taskworks.models import TaskRun
from taskworks.testing import run_tasks
from tests.behavior import ending, run_of, run_worker
from tests.stopping.runs import wait_until, working

pytestmark = [pytest.mark.thorough_on_servers, pytest.mark.django_db(transaction=True)]

RETURNING = [ending.return_bad, ending.return_bad_async, ending.return_bad_in_transaction]
LEAVING = [ending.leave_open, ending.leave_open_async, ending.leave_open_in_transaction]
TYPED = [ending.BadOutput.task, ending.bad_output_async]
ENDS: list[tuple[Task, list[str], str]] = [
    *((task, [end], end) for task in RETURNING for end in ending.ENDS),
    *((task, [], "RuntimeError") for task in LEAVING),
    *((task, [], "InvalidOutputs") for task in TYPED),
]
IDS = [f"{task.name}-{error}" for task, _, error in ENDS]
CLASSES = {
    "InvalidOutputs": InvalidOutputs,
    "LookupError": LookupError,
    "RuntimeError": RuntimeError,
    "TypeError": TypeError,
    "ValueError": ValueError,
}
each_end = pytest.mark.parametrize(("task", "ends", "error"), ENDS, ids=IDS)


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """Where the tasks count what they have done."""
    return tmp_path / "done"


def repeated(task: Task, **options: Any) -> Task:
    return task.using(max_attempts=3, backoff=0, **options)


def times(done: Path) -> int:
    return len(done.read_text().splitlines())


def errors_of(run: TaskRun) -> list[str]:
    return [error["exception_class_path"].rpartition(".")[2] for error in run.errors]


def run_after(result: TaskResult) -> TaskRun:
    run_worker()
    return run_of(result)


@each_end
def test_the_work_is_done_once(task: Task, ends: list[str], error: str, done: Path) -> None:
    run = run_after(repeated(task).enqueue(str(done), *ends))
    assert (run.state, run.attempts, errors_of(run)) == ("failed", 1, [error])
    assert times(done) == 1


@each_end
def test_a_base_class_does_not_have_it_repeated(
    task: Task, ends: list[str], error: str, done: Path
) -> None:
    run_after(
        repeated(task, retry_on=(Exception, *CLASSES[error].__bases__)).enqueue(str(done), *ends)
    )
    assert times(done) == 1


@each_end
def test_its_own_class_in_retry_on_does(
    task: Task, ends: list[str], error: str, done: Path
) -> None:
    run = run_after(repeated(task, retry_on=CLASSES[error]).enqueue(str(done), *ends))
    assert (run.state, run.attempts, errors_of(run)) == ("failed", 3, [error] * 3)
    assert times(done) == 3


@each_end
def test_unless_it_is_given_up_on(task: Task, ends: list[str], error: str, done: Path) -> None:
    options = {"retry_on": CLASSES[error], "give_up_on": CLASSES[error]}
    run_after(repeated(task, **options).enqueue(str(done), *ends))
    assert times(done) == 1


@each_end
def test_it_is_the_same_under_the_test_kit(
    task: Task, ends: list[str], error: str, done: Path
) -> None:
    repeated(task).enqueue(str(done), *ends)
    with pytest.raises(CLASSES[error]):
        run_tasks()
    assert times(done) == 1


@pytest.mark.thorough_on_servers
def test_it_is_the_same_in_a_child_process(done: Path) -> None:
    with working(task_processes=1):
        for task, ends, _ in ENDS:
            enqueued = repeated(task, executor="process").enqueue(str(done), *ends)
            assert wait_until(enqueued, "failed").attempts == 1
    assert times(done) == len(ENDS)


@pytest.mark.parametrize(
    ("task", "ends"), [(ending.return_bad, ["TypeError"]), (ending.leave_open, [])]
)
def test_a_sentence_says_why_and_what_to_do(task: Task, ends: list[str], done: Path) -> None:
    run = run_after(repeated(task).enqueue(str(done), *ends))
    assert "had done its work, so it is not attempted again" in run.errors[0]["traceback"]
    assert "in retry_on." in run.errors[0]["traceback"]


def test_it_is_not_said_where_nobody_expects_another_attempt(done: Path) -> None:
    run = run_after(ending.return_bad.enqueue(str(done), "TypeError"))
    assert "retry_on" not in run.errors[0]["traceback"]
