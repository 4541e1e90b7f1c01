"""Getting results again, refreshing them, and what they can tell."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from taskworks import TaskError, TaskResult, TaskResultStatus, task, task_backends
from taskworks.exceptions import TaskResultDoesNotExist, TaskResultMismatch
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from taskworks.testing import run_tasks
from tests import tasks
from tests.behavior import (
    LABELLING_BACKEND,
    LabelledTask,
    Settings,
    database_now,
    rewrite,
    run_of,
)

pytestmark = pytest.mark.django_db

GetResult = Callable[[Any, Any], TaskResult]
Refresh = Callable[[TaskResult], None]


def plain() -> None: ...


class AnError(Exception): ...


@task
def labelled() -> None: ...


def test_a_result_got_again_is_equal(get_result: GetResult) -> None:
    result = tasks.noop.enqueue(1, 0.1, {"b": 1, "a": [None]}, key="ü")
    for owner in (tasks.noop, task_backends["default"]):
        assert get_result(owner, result.id) == result


def test_a_result_got_again_keeps_the_tasks_options(get_result: GetResult) -> None:
    changed = tasks.noop.using(priority=3, queue_name="mail", run_after=timedelta(hours=1))
    result = changed.enqueue()
    again = get_result(changed, result.id)
    assert again == result
    assert (again.task.priority, again.task.queue_name) == (3, "mail")
    assert again.task.run_after == again.enqueued_at + timedelta(hours=1)


def test_an_unknown_id_has_no_result(get_result: GetResult) -> None:
    unknown = str(uuid4())
    for owner in (tasks.noop, task_backends["default"]):
        with pytest.raises(TaskResultDoesNotExist, match=unknown):
            get_result(owner, unknown)


@pytest.mark.parametrize("result_id", ["", "123", "no uuid", "\0", "\ud800", "ü" * 36, 123, None])
def test_a_malformed_id_has_no_result(get_result: GetResult, result_id: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        get_result(tasks.noop, result_id)


def test_another_backends_id_has_no_result(get_result: GetResult) -> None:
    result = tasks.noop.using(backend="other").enqueue()
    with pytest.raises(TaskResultDoesNotExist):
        get_result(tasks.noop, result.id)


def test_another_tasks_id_is_a_mismatch(get_result: GetResult) -> None:
    result = tasks.noop.enqueue()
    with pytest.raises(TaskResultMismatch, match=r"received 'tests\.tasks\.noop'"):
        get_result(tasks.echo, result.id)
    assert get_result(task_backends["default"], result.id) == result


def test_a_result_outlives_its_queue(settings: Settings, get_result: GetResult) -> None:
    result = tasks.send_mail.enqueue("you")
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["another"]}}
    assert get_result(task_backends["default"], result.id).task.queue_name == "mail"


@pytest.mark.parametrize("path", ["nowhere.task", "tests.tasks.nothing", "tests.tasks.gate"])
def test_a_result_outlives_its_task(get_result: GetResult, path: str) -> None:
    result = tasks.noop.enqueue(1)
    rewrite(result, task_path=path)
    again = get_result(task_backends["default"], result.id)
    assert again.task.module_path == path
    assert again.task.name == path.rpartition(".")[2]
    assert again.args == [1]


def test_refreshing_takes_over_all_that_has_changed(refresh: Refresh) -> None:
    result = tasks.add.enqueue(1, 2)
    run_tasks()
    assert result.status is TaskResultStatus.READY
    refresh(result)
    assert result == tasks.add.get_result(result.id)
    assert result.status is TaskResultStatus.SUCCESSFUL
    assert (result.return_value, result.attempts, len(result.worker_ids)) == (3, 1, 1)
    assert None not in (result.started_at, result.last_attempted_at, result.finished_at)


def test_refreshing_takes_over_errors(refresh: Refresh) -> None:
    result = tasks.fail.enqueue()
    run_tasks(raise_failures=False)
    refresh(result)
    assert result.status is TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [ValueError]


def test_refreshing_takes_over_a_changed_time(refresh: Refresh) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, enqueued_at=database_now() + timedelta(days=1))
    before = result.enqueued_at
    refresh(result)
    assert result.enqueued_at > before


def test_a_deleted_run_cannot_be_refreshed(refresh: Refresh) -> None:
    result = tasks.noop.enqueue()
    TaskRun.objects.all().delete()
    with pytest.raises(TaskResultDoesNotExist):
        refresh(result)
    assert result.status is TaskResultStatus.READY


def test_what_is_not_stored_cannot_be_got_again(get_result: GetResult) -> None:
    immediate = tasks.noop.using(backend="immediate")
    result = immediate.enqueue()
    for owner in (immediate, task_backends["immediate"]):
        with pytest.raises(NotImplementedError, match=r"does not support retrieving or refreshing"):
            get_result(owner, result.id)


def test_what_is_not_stored_cannot_be_refreshed(refresh: Refresh) -> None:
    result = tasks.noop.using(backend="immediate").enqueue()
    with pytest.raises(NotImplementedError, match=r"does not support retrieving or refreshing"):
        refresh(result)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (RunState.SCHEDULED, TaskResultStatus.READY),
        (RunState.READY, TaskResultStatus.READY),
        (RunState.CLAIMED, TaskResultStatus.READY),
        (RunState.RUNNING, TaskResultStatus.RUNNING),
        (RunState.SUCCESSFUL, TaskResultStatus.SUCCESSFUL),
        (RunState.FAILED, TaskResultStatus.FAILED),
        (RunState.CANCELLED, TaskResultStatus.FAILED),
    ],
)
def test_every_state_has_a_status(state: RunState, status: TaskResultStatus) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, state=state)
    result.refresh()
    assert result.status is status
    assert run_of(result).status is status
    assert result.is_finished == (state in {"successful", "failed", "cancelled"})


def test_a_return_value_of_none_is_no_missing_one() -> None:
    result = tasks.noop.enqueue()
    rewrite(result, state=RunState.SUCCESSFUL)
    result.refresh()
    assert result.return_value is None


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (RunState.FAILED, "Task failed"),
        (RunState.CANCELLED, "Task failed"),
        (RunState.RUNNING, "Task has not finished yet"),
        (RunState.SCHEDULED, "Task has not finished yet"),
    ],
)
def test_only_success_has_a_return_value(state: RunState, message: str) -> None:
    result = tasks.noop.enqueue()
    rewrite(result, state=state)
    result.refresh()
    with pytest.raises(ValueError, match=f"^{message}$"):
        result.return_value  # noqa: B018


class TestErrors:
    def error(self, path: str) -> TaskError:
        return TaskError(exception_class_path=path, traceback="")

    def test_have_their_class(self) -> None:
        assert self.error(f"{__name__}.AnError").exception_class is AnError
        assert self.error("builtins.SystemExit").exception_class is SystemExit

    @pytest.mark.parametrize("path", ["builtins.int", "tests.tasks.noop"])
    def test_have_no_class_that_is_no_exception(self, path: str) -> None:
        with pytest.raises(ValueError, match=r"does not reference a valid exception"):
            self.error(path).exception_class  # noqa: B018

    @pytest.mark.parametrize("path", ["nowhere.Error", "tests.tasks.NoError"])
    def test_have_no_class_that_cannot_be_imported(self, path: str) -> None:
        with pytest.raises(ImportError):
            self.error(path).exception_class  # noqa: B018


COPIES = [
    pytest.param(copy.copy, id="copy"),
    pytest.param(copy.deepcopy, id="deepcopy"),
    *[
        pytest.param(
            lambda thing, protocol=protocol: pickle.loads(pickle.dumps(thing, protocol)),
            id=f"pickle {protocol}",
        )
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ],
]


@pytest.mark.parametrize("copied", COPIES)
class TestCopies:
    @pytest.mark.parametrize(
        "made",
        [
            tasks.noop,
            tasks.add_async,
            tasks.tell_context,
            tasks.send_mail.using(priority=5, backend="other", run_after=timedelta(hours=1)),
        ],
        ids=lambda made: made.name,
    )
    def test_of_a_task_are_equal(self, copied: Callable[[Any], Any], made: Any) -> None:
        assert copied(made) == made
        assert type(copied(made)) is type(made)
        assert copied(made).func is made.func

    def test_of_a_result_are_equal(self, copied: Callable[[Any], Any]) -> None:
        result = tasks.noop.using(run_after=timedelta(hours=1)).enqueue([1], key={"a": 2})
        assert copied(result) == result
        assert copied(result).task == result.task

    def test_of_a_finished_result_keep_its_return_value(self, copied: Callable[[Any], Any]) -> None:
        result = tasks.noop.enqueue()
        rewrite(result, state=RunState.SUCCESSFUL, return_value=[1, 2], worker_ids=["w"])
        result.refresh()
        assert copied(result) == result
        assert copied(result).return_value == [1, 2]
        assert copied(result).attempts == 1

    def test_of_a_task_with_options_keep_them(
        self, copied: Callable[[Any], Any], settings: Settings
    ) -> None:
        settings.TASKS = {"default": {"BACKEND": LABELLING_BACKEND}}
        made = LabelledTask(func=labelled.func, label="blue")
        assert copied(made) == made
        assert copied(made).label == "blue"

    def test_can_be_refreshed(self, copied: Callable[[Any], Any]) -> None:
        again = copied(tasks.noop.enqueue())
        rewrite(again, state=RunState.RUNNING)
        again.refresh()
        assert again.status is TaskResultStatus.RUNNING


def test_a_pickle_whose_path_is_no_task_cannot_be_loaded() -> None:
    pickled = pickle.dumps(task(plain))
    with pytest.raises(ValueError, match=r"Expected '.*\.plain' to point to a Task instance"):
        pickle.loads(pickled)


def test_a_deep_copy_of_a_result_shares_nothing_that_changes() -> None:
    result = tasks.noop.enqueue([1])
    again = copy.deepcopy(result)
    again.args[0].append(2)
    assert result.args == [[1]]


def test_results_are_compared_by_what_they_say() -> None:
    result = tasks.noop.enqueue()
    assert replace(result, id="another") != result
    assert replace(result) == result


def test_times_are_aware() -> None:
    result = tasks.noop.enqueue()
    result.refresh()
    assert result.enqueued_at.utcoffset() is not None
    assert abs(result.enqueued_at - store().read_clock()) < timedelta(minutes=1)
