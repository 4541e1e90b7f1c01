"""What becomes of a run that a worker executes."""

import logging
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.utils import translation

from taskworks import TaskResult, TaskResultStatus, task
from taskworks.backends.database import DatabaseBackend
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.execution import Attempt, ThreadGuard, execute, prepare
from taskworks.framework import LOGGER_NAME
from taskworks.models import RunState, TaskRun, Worker
from taskworks.signals import task_finished, task_started
from taskworks.store import store
from tests import tasks
from tests.behavior import (
    backend_class,
    database_now,
    executed,
    not_in_celerys_child,
    not_with_celery,
    received,
    rewrite,
    run_of,
    run_worker,
)
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

FAILED, SUCCESSFUL = TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL
word: ContextVar[str] = ContextVar("word", default="unset")


@task
def leave_traces() -> None:
    word.set("set")
    translation.activate("fr")


@task
def find_traces() -> list[str]:
    return [word.get(), translation.get_language()]


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even a name")

    __repr__ = __str__


@task
def raise_mute() -> None:
    raise MuteError


@task
def leave_transaction_open() -> None:
    transaction.atomic().__enter__()


def failure(result: TaskResult) -> tuple[type[BaseException], str]:
    """The class and the last line of the one error of a failed run."""
    assert result.status is FAILED
    [error] = result.errors
    return error.exception_class, error.traceback.splitlines()[-1]


class TestSuccess:
    def test_is_written_with_its_times_and_its_value(self) -> None:
        result = executed(tasks.add.enqueue(1, b=2))
        assert result.status is SUCCESSFUL
        assert result.is_finished
        assert (result.return_value, result.attempts, result.errors) == (3, 1, [])
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert result.last_attempted_at == result.started_at

    def test_is_told_by_the_row_too(self) -> None:
        run = run_of(executed(tasks.add.enqueue(1, 2), "--worker-id", "me"))
        assert run.state == RunState.SUCCESSFUL
        assert (run.return_value, run.attempts, run.worker_ids) == (3, 1, ["me"])

    def test_of_a_coroutine_function(self) -> None:
        assert executed(tasks.add_async.enqueue(1, 2)).return_value == 3

    def test_may_be_worth_none(self) -> None:
        assert executed(tasks.noop.enqueue()).return_value is None

    def test_gives_back_the_arguments_as_they_were(self) -> None:
        result = executed(tasks.echo.enqueue(1, [2], three={"4": 5}))
        assert result.return_value == {"args": [1, [2]], "kwargs": {"three": {"4": 5}}}

    def test_leaves_the_stored_arguments_alone(self) -> None:
        with received(task_finished) as sent:
            result = executed(tasks.change_its_argument.enqueue([1]))
        assert result.return_value == [1, 0]
        assert run_of(result).args == [[1]]
        assert sent[0]["task_result"].args == [[1]]

    @not_with_celery("it takes no queue that the backend does not have")
    def test_does_not_need_the_queue_to_be_in_the_settings(self, settings: Any) -> None:
        result = tasks.send_mail.enqueue("you")
        settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": ["another"]}}
        run_worker()
        assert run_of(result).return_value == "sent to you"


class TestCall:
    def test_runs_either_kind_of_function(self) -> None:
        assert tasks.add.call(1, 2) == 3
        assert tasks.add_async.call(1, b=2) == 3

    def test_runs_either_kind_from_a_coroutine(self) -> None:
        assert async_to_sync(tasks.add.acall)(1, 2) == 3
        assert async_to_sync(tasks.add_async.acall)(1, b=2) == 3

    def test_stores_nothing(self) -> None:
        tasks.add.call(1, 2)
        assert TaskRun.objects.count() == 0


class TestContext:
    def test_knows_the_run_and_its_attempt(self) -> None:
        result = executed(tasks.tell_context.enqueue())
        assert result.return_value == {
            "id": result.id,
            "attempt": 1,
            "status": "RUNNING",
            "started": True,
        }

    def test_is_given_to_a_coroutine_function_before_its_arguments(self) -> None:
        result = executed(tasks.tell_context_async.enqueue("word"))
        assert result.return_value == [result.id, 1, "word"]

    def test_counts_the_attempts_that_a_crash_ended(self) -> None:
        result = tasks.tell_context.enqueue()
        rewrite(result, attempts=2, worker_ids=["dead", "dead too"])
        assert executed(result).return_value["attempt"] == 3


def test_a_later_attempt_keeps_the_time_of_the_first() -> None:
    result = tasks.noop.enqueue()
    first = database_now()
    rewrite(result, attempts=1, worker_ids=["dead"], started_at=first, last_attempted_at=first)
    result.refresh()
    first = result.started_at
    executed(result)
    assert result.started_at == first < result.last_attempted_at <= result.finished_at


class TestFailure:
    @pytest.mark.parametrize(
        ("failing", "error", "last_line"),
        [
            (tasks.fail, ValueError, "ValueError: no luck"),
            (tasks.fail_async, ValueError, "ValueError: no luck"),
            (tasks.nested_failure, ValueError, "ValueError: inner"),
            (tasks.leave, SystemExit, "SystemExit: 1"),
            (tasks.leave_async, SystemExit, "SystemExit: 1"),
            (tasks.leave_from_child, SystemExit, "SystemExit: 1"),
            (tasks.interrupt, KeyboardInterrupt, "KeyboardInterrupt"),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_is_written_and_the_worker_goes_on(
        self, failing: Any, error: type[BaseException], last_line: str
    ) -> None:
        results = [failing.using(priority=1).enqueue(), tasks.noop.enqueue()]
        results.append(tasks.add_async.enqueue(1, 2))
        run_worker("--threads", "1")
        for result in results:
            result.refresh()
        assert failure(results[0]) == (error, last_line)
        assert [result.status for result in results] == [FAILED, SUCCESSFUL, SUCCESSFUL]

    def test_of_a_coroutine_that_cancels_itself(self) -> None:
        assert failure(executed(tasks.cancel_itself.enqueue()))[0].__name__ == "CancelledError"

    def test_has_times_and_counts_as_an_attempt(self) -> None:
        result = executed(tasks.fail.enqueue())
        assert result.attempts == 1
        assert result.enqueued_at <= result.started_at <= result.finished_at

    def test_has_a_whole_traceback(self) -> None:
        [error] = executed(tasks.fail.enqueue("so it is")).errors
        assert error.exception_class_path == "builtins.ValueError"
        assert error.traceback.startswith("Traceback (most recent call last):\n")
        assert error.traceback.endswith("ValueError: so it is\n")
        assert "raise ValueError(text)" in error.traceback

    def test_has_an_entry_that_says_when_and_where(self) -> None:
        run = run_of(executed(tasks.fail.enqueue(), "--worker-id", "me"))
        [entry] = run.errors
        assert (entry["attempt"], entry["worker_id"]) == (1, "me")
        assert run.started_at <= datetime.fromisoformat(entry["at"]) <= run.finished_at

    def test_has_no_return_value(self) -> None:
        result = executed(tasks.fail.enqueue())
        with pytest.raises(ValueError, match=r"^Task failed$"):
            result.return_value  # noqa: B018
        assert run_of(result).return_value is None

    def test_keeps_the_errors_of_earlier_attempts(self) -> None:
        result = executed(tasks.fail.enqueue("first"))
        rewrite(result, state=RunState.READY, finished_at=None)
        executed(result)
        assert [error.exception_class for error in result.errors] == [ValueError, ValueError]
        assert [entry["attempt"] for entry in run_of(result).errors] == [1, 2]

    def test_by_wrong_arguments(self) -> None:
        error, line = failure(executed(tasks.add.enqueue(1)))
        assert error is TypeError
        assert "missing 1 required positional argument: 'b'" in line


class TestWhatNoDatabaseTakes:
    def test_as_a_result_is_a_failure(self) -> None:
        error, line = failure(executed(tasks.return_object.enqueue()))
        assert error is TypeError
        assert line.startswith("TypeError: Unsupported type: <class 'function'> at return_value.")

    def test_a_result_with_a_nul_is_a_failure(self) -> None:
        error, line = failure(executed(tasks.return_nul.enqueue()))
        assert error is ValueError
        assert line.startswith("ValueError: A NUL character at return_value.")

    def test_in_an_exceptions_text_is_escaped(self) -> None:
        error, line = failure(executed(tasks.raise_dirty.enqueue()))
        assert error is ValueError
        assert line == r"ValueError: nul \x00 surrogate \ud800"

    def test_an_exception_that_cannot_be_printed_is_named(self) -> None:
        error, line = failure(executed(raise_mute.enqueue()))
        assert error is MuteError
        assert line.startswith(f"{__name__}.MuteError: <")

    def test_a_long_text_is_cut_in_its_middle(self) -> None:
        [error] = executed(tasks.raise_long.enqueue()).errors
        assert len(error.traceback) < 10_100
        assert "characters left out" in error.traceback
        assert error.traceback.startswith("Traceback")
        assert error.traceback.endswith("x\n")


@pytest.mark.thorough_on_servers
class TestSignals:
    @pytest.mark.parametrize(
        ("made", "status"),
        [
            (tasks.noop, SUCCESSFUL),
            (tasks.tell_context_async.using(), FAILED),
            (tasks.fail, FAILED),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    @not_in_celerys_child
    def test_are_sent_once_by_the_backends_class(self, made: Any, status: Any) -> None:
        with received(task_started) as started, received(task_finished) as finished:
            result = executed(made.enqueue())
        assert [signal["sender"] for signal in started + finished] == [backend_class()] * 2
        assert started[0]["task_result"].status is TaskResultStatus.RUNNING
        assert started[0]["task_result"].attempts == 1
        assert finished[0]["task_result"] == result
        assert result.status is status

    @pytest.mark.parametrize("raised", [RuntimeError, SystemExit, KeyboardInterrupt])
    @pytest.mark.parametrize("signal", [task_started, task_finished], ids=["started", "finished"])
    @pytest.mark.parametrize("made", [tasks.add, tasks.add_async], ids=["sync", "async"])
    def test_with_a_receiver_that_raises_change_nothing(
        self, made: Any, signal: Any, raised: type[BaseException]
    ) -> None:
        def receive(**kwargs: Any) -> None:
            raise raised

        signal.connect(receive)
        try:
            results = [made.enqueue(1, 2), made.enqueue(3, 4)]
            run_worker()
        finally:
            signal.disconnect(receive)
        for result in results:
            result.refresh()
        assert [result.return_value for result in results] == [3, 7]


class TestLog:
    def lines(self, caplog: pytest.LogCaptureFixture, made: Any) -> list[Any]:
        with caplog.at_level(logging.DEBUG, LOGGER_NAME):
            result = executed(made.enqueue())
        records = [record for record in caplog.records if record.name == LOGGER_NAME]
        assert all(result.id in record.getMessage() for record in records)
        return records

    @not_in_celerys_child
    def test_of_a_success(self, caplog: pytest.LogCaptureFixture) -> None:
        enqueued, started, finished = self.lines(caplog, tasks.noop)
        assert "enqueued" in enqueued.getMessage()
        assert "state=RUNNING" in started.getMessage()
        assert "state=SUCCESSFUL" in finished.getMessage()
        assert started.levelno == finished.levelno == logging.INFO
        assert not finished.exc_info
        assert "None" not in caplog.text

    @not_in_celerys_child
    def test_of_a_failure(self, caplog: pytest.LogCaptureFixture) -> None:
        _, _, finished = self.lines(caplog, tasks.fail)
        assert finished.levelno == logging.ERROR
        assert "state=FAILED" in finished.getMessage()
        assert finished.exc_info[0] is ValueError


def test_the_immediate_backend_lets_the_keyboard_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    interrupt = tasks.interrupt.using(backend="immediate")
    with caplog.at_level(logging.DEBUG, LOGGER_NAME), pytest.raises(KeyboardInterrupt):
        interrupt.enqueue()
    assert not any("FAILED" in record.getMessage() for record in caplog.records)


@pytest.mark.thorough_on_servers
class TestAPathThatIsNoTask:
    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("tests.tasks.gate", "Event"),
            ("tests.behavior.test_execution.MuteError", "type"),
            ("tests.behavior.run_worker", "function"),
            ("taskworks.Task", "type"),
            ("unittest.mock.call", "_Call"),
            ("tests.behavior.grumpy", "Grumpy"),
        ],
    )
    def test_fails_at_once_and_the_worker_goes_on(self, path: str, kind: str) -> None:
        broken, whole = tasks.noop.using(priority=1).enqueue(), tasks.noop.enqueue()
        rewrite(broken, task_path=path)
        executed(whole)
        broken.refresh()
        error, line = failure(broken)
        assert error is InvalidTask
        assert line.endswith(f"{path!r} is not a task: it is of type {kind}.")
        assert (broken.attempts, broken.started_at) == (0, None)
        assert whole.status is SUCCESSFUL


def test_a_module_that_interrupts_its_importer_fails_the_run_alone() -> None:
    broken, whole = tasks.noop.using(priority=1).enqueue(), tasks.noop.enqueue()
    rewrite(broken, task_path="tests.behavior.interrupting.task")
    executed(whole)
    [error] = run_of(broken).errors
    assert error["exception_class_path"] == "builtins.KeyboardInterrupt"
    assert (run_of(broken).state, whole.status) == (RunState.FAILED, SUCCESSFUL)


@pytest.mark.thorough_on_servers
class TestAPathThatDoesNotImport:
    @pytest.mark.parametrize(
        "path",
        [
            "nowhere.task",
            "tests.tasks.nothing",
            "task",
            "tests.behavior.broken.task",
            "tests.behavior.leaving.task",
        ],
    )
    def test_is_given_back_and_the_worker_goes_on(self, path: str) -> None:
        broken, whole = tasks.noop.using(priority=1).enqueue(), tasks.noop.enqueue()
        rewrite(broken, task_path=path)
        executed(whole)
        run = run_of(broken)
        assert run.state == RunState.SCHEDULED
        assert run.missing_since is not None
        assert (run.attempts, run.worker_ids, run.errors) == (0, [], [])
        assert (run.claimed_by, run.claim_token) == (None, None)
        assert whole.status is SUCCESSFUL

    @pytest.fixture
    def missing(self) -> TaskResult:
        result = tasks.noop.enqueue()
        rewrite(result, task_path="nowhere.task")
        return result

    def given_back_for(self, missing: TaskResult) -> tuple[float, float]:
        """The least and the most seconds that it may have been given back for."""
        before = store().read_clock()
        run_worker()
        after = store().read_clock()
        due = run_of(missing).available_at
        return (due - after).total_seconds(), (due - before).total_seconds()

    @pytest.mark.parametrize(("missing_for", "delay"), [(0, 1), (20, 20), (59, 59), (500, 60)])
    def test_waits_ever_longer_up_to_a_minute(
        self, missing: TaskResult, missing_for: int, delay: int
    ) -> None:
        if missing_for:
            since = store().read_clock() - timedelta(seconds=missing_for)
            rewrite(missing, missing_since=since)
        least, most = self.given_back_for(missing)
        assert least - 1 <= delay <= most

    def test_remembers_since_when(self, missing: TaskResult) -> None:
        since = store().read_clock() - timedelta(minutes=5)
        rewrite(missing, missing_since=since)
        run_worker()
        assert run_of(missing).missing_since == since

    def test_runs_as_soon_as_it_imports(self, missing: TaskResult) -> None:
        run_worker()
        rewrite(missing, task_path="tests.tasks.noop", available_at=database_now())
        assert executed(missing).status is SUCCESSFUL

    def test_fails_after_ten_minutes(self, missing: TaskResult) -> None:
        run_worker()
        rewrite(
            missing,
            missing_since=store().read_clock() - timedelta(minutes=11),
            available_at=database_now(),
        )
        error, line = failure(executed(missing))
        assert error is TaskNotFound
        assert "'nowhere.task' cannot be imported: ModuleNotFoundError" in line
        assert "Deploy the code" in line
        assert missing.attempts == 0

    def test_waits_as_long_as_the_setting_says(self, missing: TaskResult, settings: Any) -> None:
        settings.TASKWORKS = {**settings.TASKWORKS, "NOT_FOUND_PATIENCE": 30}
        rewrite(missing, missing_since=store().read_clock() - timedelta(seconds=40))
        assert executed(missing).status is FAILED

    def test_does_not_count_for_max_tasks(self, missing: TaskResult) -> None:
        later = tasks.noop.enqueue()
        assert executed(later, "--max-tasks", "1").status is SUCCESSFUL

    def test_is_logged(self, missing: TaskResult, caplog: pytest.LogCaptureFixture) -> None:
        run_worker()
        assert missing.id in caplog.text
        assert "nowhere.task" in caplog.text


def test_a_run_is_called_what_its_path_ends_with() -> None:
    result = tasks.noop.enqueue()
    assert run_of(result).task_name == "noop"
    rewrite(result, task_path="nowhere.at.all")
    assert run_of(result).task_name == "all"


def test_what_a_task_sets_in_its_context_ends_with_it() -> None:
    before = leave_traces.using(priority=1).enqueue()
    result = executed(find_traces.enqueue(), "--threads", "1")
    before.refresh()
    assert before.status is SUCCESSFUL
    assert result.return_value == ["unset", "en-us"]


def test_a_transaction_that_a_task_leaves_open_ends_with_it() -> None:
    # Not with a whole worker: on SQLite the lock would be held against it.
    leave_transaction_open.enqueue()
    worker = Worker(label="me", hostname="", pid=1)
    store().register(worker)
    [run] = store().claim(worker.id, "default", ["default"], {"thread": 1})

    def leaves_open() -> bool:
        attempt = Attempt(run, "me")
        prepare(attempt)
        execute(attempt, ThreadGuard(), DatabaseBackend)
        return connection.in_atomic_block

    assert not elsewhere(leaves_open)
