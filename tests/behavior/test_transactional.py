"""``transactional=True``: what a task writes and its finish are one commit, or nothing."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import DatabaseError, OperationalError, connection, connections

from taskworks import TaskResult, task_backends
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun, Worker
from taskworks.options.policy import Policy
from taskworks.store import Store, store
from taskworks.testing import run_tasks
from taskworks.worker import Options, Queues, Sizes
from taskworks.worker import Worker as WorkerOfTheTest
from tests import tasks
from tests.behavior import Settings, ledger, received, refused, run_of
from tests.connections import begin_elsewhere, elsewhere
from tests.waiting import wait_for

with_database = pytest.mark.django_db(transaction=True)
EXECUTORS = ["thread", "process"]
# A child process runs the same code. Every day, one test shows that on each database.
in_a_process = [pytest.mark.not_every_day, pytest.mark.thorough_on_servers]
each_executor = pytest.mark.parametrize(
    "executor", ["thread", pytest.param("process", marks=in_a_process)]
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    ledger.written.clear()
    ledger.go_on.clear()
    yield
    ledger.go_on.set()


def drain(**sizes: Any) -> None:
    sizes = {"threads": 2, "task_processes": 1, **sizes}
    options = Options(queues=Queues(), batch=True, interval=0.02, sizes=Sizes(**sizes))
    WorkerOfTheTest(task_backends["default"], options).run()


def ended(result: TaskResult) -> TaskRun:
    drain()
    return run_of(result)


@with_database
class TestTheEnd:
    @pytest.mark.parametrize("executor", EXECUTORS)
    def test_is_one_commit_with_the_effects(self, executor: str) -> None:
        run = ended(ledger.enter.using(executor=executor).enqueue())
        assert (run.state, run.return_value, run.attempts) == ("successful", "entered", 1)
        assert ledger.entered() == [f"{run.id} 1"]
        assert run.claimed_at <= run.started_at <= run.finished_at <= store().read_clock()

    @each_executor
    @pytest.mark.parametrize("end", ["fail", "return an object", "leave open", "roll back"])
    def test_that_is_a_failure_leaves_nothing(self, executor: str, end: str) -> None:
        run = ended(ledger.enter_and.using(executor=executor).enqueue(end, "nobody"))
        assert (run.state, run.attempts, len(run.errors)) == ("failed", 1, 1)
        assert ledger.entered() == []

    @each_executor
    def test_that_is_not_the_end_leaves_nothing(self, executor: str) -> None:
        run = ended(ledger.enter_and.using(executor=executor).enqueue("snooze", "nobody"))
        assert (run.state, run.attempts) == ("scheduled", 0)
        assert ledger.entered() == []

    @each_executor
    def test_of_a_retried_task_leaves_what_the_last_attempt_did(self, executor: str) -> None:
        task = ledger.enter_and.using(executor=executor, max_attempts=3, backoff=0)
        run = ended(task.enqueue("fail", "nobody"))
        assert (run.state, run.attempts, ledger.entered()) == ("failed", 3, [])

    @each_executor
    def test_tells_what_the_task_has_told(self, executor: str) -> None:
        run = ended(ledger.enter_and_tell.using(executor=executor).enqueue())
        assert (run.state, run.progress, run.target, len(run.messages)) == ("successful", 3, 3, 3)

    @each_executor
    def test_stands_if_what_is_called_on_commit_fails(self, executor: str) -> None:
        run = ended(ledger.enter_and_call_on_commit.using(executor=executor).enqueue("somebody"))
        assert (run.state, run.errors, ledger.entered()) == ("successful", [], ["somebody"])

    @each_executor
    def test_of_a_transaction_that_the_database_ended_is_a_failure(self, executor: str) -> None:
        if connection.vendor != "mysql":
            pytest.skip("Only MySQL and MariaDB end a transaction by themselves.")
        run = ended(ledger.swallow_an_implicit_end.using(executor=executor).enqueue("committed"))
        assert (run.state, len(run.errors)) == ("failed", 1)


@with_database
def test_a_coroutine_function_is_transactional_in_a_child_process() -> None:
    run = ended(ledger.enter_async.enqueue("somebody"))
    assert (run.state, run.return_value, ledger.entered()) == (
        "successful",
        "entered",
        ["somebody"],
    )


@with_database
def test_a_child_that_dies_leaves_nothing() -> None:
    run = ended(ledger.enter_and.using(executor="process").enqueue("exit", "nobody"))
    assert (run.state, run.attempts, ledger.entered()) == ("failed", 1, [])
    assert run.errors[0]["exception_class_path"] == "taskworks.exceptions.TaskCrashed"


@with_database
def test_a_timeout_rolls_back() -> None:
    run = ended(ledger.enter_and_spin.enqueue())
    assert (run.state, ledger.entered()) == ("failed", [])
    assert run.errors[0]["exception_class_path"] == "taskworks.exceptions.TaskTimeout"


@with_database
def test_the_finish_is_the_signal_s_result() -> None:
    from taskworks.signals import task_finished

    with received(task_finished) as sent:
        ledger.enter.enqueue()
        drain()
    [result] = [event["task_result"] for event in sent]
    assert (result.status, result.return_value) == ("SUCCESSFUL", "entered")


@with_database
def test_run_tasks_executes_it_in_the_test_s_thread() -> None:
    [result] = run_tasks_of(ledger.enter.enqueue)
    assert (result.status, len(ledger.entered())) == ("SUCCESSFUL", 1)
    [result] = run_tasks_of(lambda: ledger.enter_and.enqueue("fail", "nobody"))
    assert (result.status, len(ledger.entered())) == ("FAILED", 1)


def run_tasks_of(enqueue: Callable[[], TaskResult]) -> list[TaskResult]:
    enqueue()
    return run_tasks(raise_failures=False)


@with_database
class TestMeanwhile:
    """While the task's transaction is open; SQLite lets nobody else write then."""

    @pytest.fixture(autouse=True)
    def _with_several_writers(self) -> None:
        if connection.vendor == "sqlite":
            pytest.skip("SQLite has one writer at a time.")

    @pytest.fixture
    def executing(self) -> Iterator[TaskResult]:
        result = ledger.enter_and.enqueue("wait", "somebody")
        working = begin_elsewhere(drain)
        wait_for(ledger.written.is_set, "the task has written")
        yield result
        ledger.go_on.set()
        working.result(timeout=30)

    def test_its_start_is_known_and_its_row_is_free(self, executing: TaskResult) -> None:
        run = run_of(executing)
        assert (run.state, run.attempts) == ("running", 1)
        # Not held by the transaction: this would wait for it.
        assert TaskRun.objects.filter(id=run.id).update(progress=1) == 1
        assert ledger.entered() == []

    def test_it_is_rolled_back_if_the_run_is_rescued(
        self, executing: TaskResult, caplog: pytest.LogCaptureFixture
    ) -> None:
        TaskRun.objects.update(claimed_by=None, backend="other")
        assert [run.id for run in store().rescue(10)] == [run_of(executing).id]
        ledger.go_on.set()
        wait_for(lambda: "its outcome is lost" in caplog.text, "the worker says so")
        assert (run_of(executing).state, ledger.entered()) == ("ready", [])

    def test_a_rescue_passes_over_a_finish_that_is_being_committed(
        self, executing: TaskResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        finished, let_commit = threading.Event(), threading.Event()
        commit = type(store()).commit

        def slow_commit(self: Store, run: TaskRun) -> bool:
            answer = commit(self, run)
            finished.set()
            assert let_commit.wait(timeout=30)
            return answer

        monkeypatch.setattr(type(store()), "commit", slow_commit)
        ledger.go_on.set()
        wait_for(finished.is_set, "the finish is written, and not committed")
        Worker.objects.all().delete()
        assert store().rescue(10) == []
        let_commit.set()
        wait_for(lambda: run_of(executing).state == "successful", "it is committed")
        assert ledger.entered() == ["somebody"]


@with_database
class TestACommitWhoseAnswerIsLost:
    @pytest.fixture
    def lose_answers(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
        def lose_answers(is_committed: bool) -> None:
            """Of the task's own COMMIT, once; if it is not committed the server is gone first."""
            wrapper = type(connections["default"])
            commit, lost = wrapper._commit, []

            def broken(self: Any) -> None:
                if lost or threading.current_thread().name != "taskworks-1":
                    return commit(self)
                lost.append(True)
                if is_committed:
                    commit(self)
                else:
                    self.connection.rollback()
                raise OperationalError("the server has gone away")

            monkeypatch.setattr(wrapper, "_commit", broken)

        return lose_answers

    def test_and_that_was_made_is_a_success(self, lose_answers: Callable[[bool], None]) -> None:
        lose_answers(True)
        run = ended(ledger.enter.enqueue())
        assert (run.state, run.return_value, run.errors) == ("successful", "entered", [])
        assert ledger.entered() == [f"{run.id} 1"]

    def test_and_that_was_not_made_is_a_failure(self, lose_answers: Callable[[bool], None]) -> None:
        lose_answers(False)
        run = ended(ledger.enter.using(max_attempts=2, backoff=0).enqueue())
        assert (run.state, run.attempts, len(run.errors)) == ("successful", 2, 1)
        assert "gone away" in run.errors[0]["traceback"]
        assert ledger.entered() == [f"{run.id} 2"]

    def test_is_settled_when_the_database_answers_again(
        self, lose_answers: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lose_answers(True)
        whole, failures = type(store()).committed, []

        def away(self: Store, runs: list[TaskRun]) -> Any:
            if len(failures) < 2:
                failures.append(True)
                raise DatabaseError("still away")
            return whole(self, runs)

        monkeypatch.setattr(type(store()), "committed", away)
        assert ended(ledger.enter.enqueue()).state == "successful"
        assert len(failures) == 2


@with_database
def test_a_run_whose_transaction_may_still_commit_is_not_judged() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    from django.db import transaction

    run = run_of(tasks.noop.enqueue())
    with transaction.atomic():
        TaskRun.objects.filter(id=run.id).update(state="running")
        assert elsewhere(lambda: store().committed([run])) == {}
    assert store().committed([run]) == {run.id: None}
    TaskRun.objects.all().delete()
    assert store().committed([run]) == {run.id: None}


class TestARefusal:
    def test_of_the_event_loop(self) -> None:
        with pytest.raises(InvalidTask, match="does not fit 'add_async'"):
            tasks.add_async.using(transactional=True)
        assert tasks.add_async.using(transactional=True, executor="process").policy.transactional

    def test_of_what_is_no_boolean(self) -> None:
        with pytest.raises(InvalidTask, match="transactional must be True or False, not 1"):
            tasks.add.using(transactional=1)

    @with_database
    def test_of_tables_on_another_alias(self, settings: Settings) -> None:
        settings.DATABASE_ROUTERS = ["tests.behavior.test_transactional.ToTheQueue"]
        with pytest.raises(InvalidTask, match="runs are stored in the database 'queue'"):
            ledger.enter.enqueue()

    @with_database
    @pytest.mark.parametrize("timeout", [20, float("inf")])
    def test_of_a_task_that_may_hold_sqlite_too_long(self, timeout: float) -> None:
        if connection.vendor != "sqlite":
            assert ledger.enter.using(timeout=timeout).enqueue()
            return
        with refused(InvalidTask, "wait only 20 s", f"not {timeout:g}"):
            ledger.enter.using(timeout=timeout).enqueue()

    @with_database
    def test_of_defaults_is_a_check(self, settings: Settings) -> None:
        assert check_of(settings, {"TASK_DEFAULTS": {"transactional": True, "timeout": 1}}) == []
        endless = {"QUEUE_DEFAULTS": {"mail": {"transactional": True}}}
        if connection.vendor == "sqlite":
            [error] = check_of(settings, endless)
            assert "The defaults in TASKS['default']['OPTIONS'] do not work here." in error.msg
        settings.DATABASE_ROUTERS = ["tests.behavior.test_transactional.ToTheQueue"]
        [error] = check_of(settings, endless)
        assert "the database 'queue'" in error.msg

    def test_of_a_default_is_none_where_it_does_not_fit(self, settings: Settings) -> None:
        with_options(settings, {"TASK_DEFAULTS": {"transactional": True}})
        assert tasks.add.policy.transactional
        assert tasks.add_async.policy == Policy(executor="async")
        assert not tasks.add.using(transactional=False).policy.transactional


class ToTheQueue:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "queue" if model._meta.app_label == "taskworks" else None

    db_for_read = db_for_write


def with_options(settings: Settings, options: dict[str, Any]) -> None:
    settings.TASKS = {
        **settings.TASKS,
        "default": {**settings.TASKS["default"], "OPTIONS": options},
    }


def check_of(settings: Settings, options: dict[str, Any]) -> list[Any]:
    with_options(settings, options)
    # Each once: the standard's check is there twice where the backport is imported beside it.
    return [*{m.msg: m for m in run_checks() if m.id == "taskworks.E006"}.values()]


def test_the_patience_of_sqlite_is_five_seconds_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from taskworks.execution.transaction import obstacle

    if connection.vendor != "sqlite":
        pytest.skip("Of SQLite.")
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {})
    assert obstacle(Policy(transactional=True, timeout=4.9), "default") is None
    assert "5 s" in str(obstacle(Policy(transactional=True, timeout=5), "default"))
