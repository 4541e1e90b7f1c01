"""The frames of a failure are the task's own, wherever it is read."""

import logging
import traceback
from collections.abc import Iterator, Sequence

import pytest

from taskworks import Task
from taskworks.framework import LOGGER_NAME
from taskworks.models import TaskRun
from taskworks.schedules.firing import fire_now
from taskworks.testing import run_tasks
from tests.behavior import raising, run_of, run_worker
from tests.schedules.firing import scheduled
from tests.stopping.runs import wait_until, working

pytestmark = [pytest.mark.thorough_on_servers, pytest.mark.django_db(transaction=True)]

Records = list[logging.LogRecord]
MACHINERY = ("/taskworks/", "/asgiref/", "/concurrent/", "/asyncio/", "/django/tasks/")
each_task = pytest.mark.parametrize("task", raising.TASKS, ids=lambda task: task.name)


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: Records = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def reported() -> Iterator[Records]:
    """What an error reporter gets: the records with an exception."""
    keeper = _Keeper()
    loggers = [logging.getLogger(LOGGER_NAME), logging.getLogger("taskworks.runs")]
    for log in loggers:
        log.addHandler(keeper)
    yield keeper.records
    for log in loggers:
        log.removeHandler(keeper)


def text_of(run: TaskRun) -> str:
    return str(run.errors[-1]["traceback"])


def is_of_the_task_alone(text: str) -> bool:
    return not any(place in text for place in MACHINERY)


def failed_in_a_child_process(tasks: Sequence[Task]) -> list[TaskRun]:
    """One process executes them, one after the other."""
    with working(task_processes=1):
        return [wait_until(task.using(executor="process").enqueue(7), "failed") for task in tasks]


def names_of_frames(record: logging.LogRecord) -> list[str]:
    assert record.exc_info
    return [frame.name for frame in traceback.extract_tb(record.exc_info[2])]


@each_task
def test_what_is_stored_begins_at_the_task(task: Task) -> None:
    result = task.enqueue(7)
    run_worker()
    text = text_of(run_of(result))
    assert is_of_the_task_alone(text)
    assert f"in {task.func.__name__}\n" in text
    assert text.endswith("ParcelError: parcel 7 is not in Ulm\nIt was sent on Monday.\n")


def test_so_does_it_in_a_child_process() -> None:
    for task, run in zip(raising.TASKS, failed_in_a_child_process(raising.TASKS), strict=True):
        assert is_of_the_task_alone(text_of(run)), task.name
        assert f"in {task.func.__name__}\n" in text_of(run)


def test_so_does_it_for_a_schedules_function() -> None:
    result = fire_now(scheduled(raising.fail_by_message))
    run_worker()
    assert is_of_the_task_alone(text_of(run_of(result)))
    assert "in fail_by_message\n" in text_of(run_of(result))


@each_task
def test_what_is_logged_begins_at_the_task(task: Task, reported: Records) -> None:
    task.enqueue(7)
    run_worker()
    assert [names_of_frames(record) for record in reported] == [[task.func.__name__, "deliver"]]


def test_so_does_what_is_logged_of_a_retry(reported: Records) -> None:
    raising.fail.using(max_attempts=2, backoff=0).enqueue(7)
    run_worker()
    assert [names_of_frames(record) for record in reported] == [["fail", "deliver"]] * 2


@pytest.mark.parametrize("task", raising.TASKS[:4], ids=lambda task: task.name)
def test_wrong_arguments_have_no_frames(task: Task, reported: Records) -> None:
    result = task.enqueue()
    run_worker()
    [record] = reported
    assert text_of(run_of(result)).startswith(f"TypeError: {task.name}() missing 1 required")
    assert names_of_frames(record) == []


def test_a_test_sees_the_task_below_its_own_call() -> None:
    raising.fail.enqueue(7)
    with pytest.raises(raising.ParcelError) as caught:
        run_tasks()
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["fail", "deliver"]
    assert names[1:-2] == ["run_tasks"]


class TestOfAChildProcess:
    def test_it_is_reported_as_from_a_thread(self, reported: Records) -> None:
        failed_in_a_child_process(raising.TASKS)
        for task, record in zip(raising.TASKS, reported, strict=True):
            assert names_of_frames(record) == [task.func.__name__, "deliver"]
            error = error_in(record)
            assert isinstance(error, raising.ParcelError)
            assert (type(error).__name__, str(error)) == ("ParcelError", "parcel 7 is not in Ulm")
            assert error.__notes__ == ["It was sent on Monday."]
            assert type(error.__cause__) is KeyError

    def test_its_text_in_the_log_is_that_of_a_thread(self, reported: Records) -> None:
        raising.fail.enqueue(7)
        run_worker()
        with working(task_processes=1):
            wait_until(raising.fail.using(executor="process").enqueue(7), "failed")
        in_thread, in_child = (lines_of(record) for record in reported)
        assert in_child == in_thread

    def test_its_class_is_the_same_where_that_is_possible(self, reported: Records) -> None:
        with working(task_processes=1):
            wait_until(raising.fail_plainly.using(executor="process").enqueue(7), "failed")
            wait_until(raising.fail_with_group.using(executor="process").enqueue(7), "failed")
        plain, group = map(error_in, reported)
        assert (type(plain), plain.args) == (ValueError, ("no parcel 7",))
        assert isinstance(group, ExceptionGroup)
        assert [repr(member) for member in group.exceptions] == [
            "ValueError('one')",
            "KeyError('two')",
        ]

    def test_a_retry_is_reported_too(self, reported: Records) -> None:
        with working(task_processes=1):
            twice = raising.fail.using(executor="process", max_attempts=2, backoff=0)
            wait_until(twice.enqueue(7), "failed")
        assert [names_of_frames(record) for record in reported] == [["fail", "deliver"]] * 2


def error_in(record: logging.LogRecord) -> BaseException:
    assert record.exc_info
    assert record.exc_info[1]
    return record.exc_info[1]


def lines_of(record: logging.LogRecord) -> list[str]:
    """The traceback as it is printed, without the marks below a line."""
    lines = "".join(traceback.format_exception(error_in(record))).splitlines()
    return [line for line in lines if set(line) - set(" ^~")]
