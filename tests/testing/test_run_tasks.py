"""run_tasks(): executes what is queued, in the thread and the transaction of a test."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.utils import DatabaseError, IntegrityError
from django.test import TestCase

from taskworks import TaskResult, current_context, testing
from taskworks.backends.database import DatabaseBackend
from taskworks.control import pause, resume
from taskworks.exceptions import TaskExpired, TaskNotFound
from taskworks.models import TaskRun, Worker
from taskworks.signals import task_finished, task_retried, task_started
from taskworks.testing import clock, run_tasks, running
from tests import limited, tasks
from tests import testing as samples
from tests.behavior import received, rewrite, run_of

pytestmark = pytest.mark.usefixtures("database")

MINUTE = timedelta(minutes=1)


def names(results: list[TaskResult]) -> list[str]:
    return [result.task.name for result in results]


class TestWhatIsExecuted:
    def test_is_what_is_ready(self) -> None:
        result = tasks.add.enqueue(1, 2)
        [executed] = run_tasks()
        assert (executed.return_value, executed.attempts) == (3, 1)
        result.refresh()
        assert result == executed

    def test_is_executed_in_a_workers_order(self) -> None:
        tasks.add.using(priority=-5).enqueue(1, 2)
        tasks.noop.enqueue()
        tasks.echo.using(priority=5, queue_name="mail").enqueue()
        assert names(run_tasks()) == ["echo", "noop", "add"]

    def test_is_also_what_a_run_enqueues(self) -> None:
        tasks.enqueue_noop.enqueue()
        assert names(run_tasks()) == ["enqueue_noop", "noop"]

    def test_is_what_is_limited_in_turn(self) -> None:
        limited.in_turn.enqueue_many([["a"], ["a"], ["b"]])
        limited.send.enqueue("ada")
        tasks.noop.enqueue()
        executed = run_tasks()
        assert names(executed) == ["noop", "send", "in_turn", "in_turn", "in_turn"]
        assert [result.args for result in executed[2:]] == [["a"], ["b"], ["a"]]

    def test_is_not_what_is_limited_in_a_paused_queue(self) -> None:
        limited.send.using(queue_name="mail").enqueue("ada")
        pause("mail")
        assert run_tasks() == []
        resume("mail")
        assert names(run_tasks(queue_names="mail")) == ["send"]

    def test_is_not_what_waits_for_its_time(self) -> None:
        later = tasks.noop.using(run_after=MINUTE).enqueue()
        assert run_tasks() == []
        assert run_of(later).state == "scheduled"

    def test_is_what_has_become_due(self) -> None:
        later = tasks.noop.using(run_after=MINUTE).enqueue()
        with clock() as moved:
            moved.advance(minutes=1)
            assert [result.id for result in run_tasks()] == [later.id]

    def test_is_nothing_if_there_is_nothing(self) -> None:
        assert run_tasks() == []

    def test_is_of_the_backend_asked_for(self) -> None:
        tasks.noop.enqueue()
        tasks.echo.using(backend="other").enqueue()
        assert names(run_tasks(backend="other")) == ["echo"]
        assert names(run_tasks()) == ["noop"]

    @pytest.mark.parametrize("queue_names", ["mail", ["mail", "imports"], {"mail"}])
    def test_is_of_the_queues_asked_for(self, queue_names: Any) -> None:
        tasks.noop.enqueue()
        tasks.send_mail.enqueue("you")
        assert names(run_tasks(queue_names=queue_names)) == ["send_mail"]

    def test_is_no_more_than_the_limit(self) -> None:
        for _ in range(3):
            tasks.noop.enqueue()
        assert [len(run_tasks(limit=limit)) for limit in (0, 2, 2)] == [0, 2, 1]

    def test_has_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "MAX_ATTEMPTS", 3)
        samples.enqueue_itself.enqueue()
        with pytest.raises(RuntimeError, match=r"3 attempts.*enqueue_itself.*Pass a limit"):
            run_tasks()
        assert TaskRun.objects.successful().count() == 3


class TestWhereItIsExecuted:
    @pytest.mark.parametrize(
        "task",
        [
            samples.tell_place,
            samples.tell_place_of_a_process,
            samples.tell_place_of_a_coroutine,
        ],
    )
    def test_is_this_thread(self, task: Any) -> None:
        task.enqueue()
        [result] = run_tasks()
        assert result.return_value == samples.place()

    @pytest.mark.parametrize("task", [tasks.count_runs, tasks.read_slowly])
    def test_has_this_connection(self, task: Any) -> None:
        task.enqueue()
        mine = connection.connection
        [result] = run_tasks()
        assert result.return_value == 1
        assert not connection.in_atomic_block or connection.connection is mine

    def test_is_a_context_of_its_own(self) -> None:
        samples.word.set("a test's")
        samples.set_word.enqueue()
        [result] = run_tasks()
        assert result.return_value == "nothing"
        assert samples.word.get() == "a test's"
        assert current_context() is None

    def test_is_a_worker_that_leaves_again(self) -> None:
        result = tasks.noop.enqueue()
        run_tasks()
        assert run_of(result).worker_ids == ["run_tasks"]
        assert Worker.objects.count() == 0


class TestFailures:
    def test_are_raised_once_they_are_stored(self) -> None:
        failing, other = tasks.fail.enqueue("so it is"), tasks.noop.enqueue()
        with pytest.raises(ValueError, match="so it is"):
            run_tasks()
        assert (run_of(failing).state, run_of(other).state) == ("failed", "ready")
        assert names(run_tasks()) == ["noop"]

    def test_may_be_looked_at_instead(self) -> None:
        tasks.fail.enqueue("so it is")
        tasks.noop.enqueue()
        failed, other = run_tasks(raise_failures=False)
        assert (failed.status, other.status) == ("FAILED", "SUCCESSFUL")
        assert failed.errors[0].exception_class is ValueError
        assert "so it is" in failed.errors[0].traceback

    def test_of_a_task_that_cannot_be_imported_are_raised(self) -> None:
        result = tasks.noop.enqueue()
        rewrite(result, task_path="nowhere.task")
        with pytest.raises(TaskNotFound, match=r"nowhere\.task"):
            run_tasks()
        assert run_of(result).state == "scheduled"

    def test_by_the_keyboard_are_always_raised(self) -> None:
        result = tasks.interrupt.using(max_attempts=2).enqueue()
        with pytest.raises(KeyboardInterrupt):
            run_tasks(raise_failures=False)
        assert run_of(result).state == "scheduled"

    @pytest.mark.parametrize("task", [tasks.leave, tasks.leave_from_child, tasks.cancel_itself])
    def test_are_whatever_a_task_raises(self, task: Any) -> None:
        task.enqueue()
        [result] = run_tasks(raise_failures=False)
        assert result.status == "FAILED"

    def test_of_the_kit_itself_leave_nothing_in_hand(self, monkeypatch: pytest.MonkeyPatch) -> None:
        result = tasks.noop.enqueue()

        def prepare(attempt: Any) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(running, "prepare", prepare)
        with pytest.raises(RuntimeError, match="broken"):
            run_tasks()
        assert (run_of(result).state, run_of(result).attempts) == ("ready", 0)
        assert Worker.objects.count() == 0


class TestAnotherAttempt:
    def test_waits_for_its_backoff(self) -> None:
        samples.succeed_at_the_third.enqueue()
        seen = []
        with clock() as moved:
            for _ in range(3):
                seen += run_tasks()
                assert run_tasks() == []
                moved.advance(MINUTE)
        assert [(result.status, result.attempts) for result in seen] == [
            ("READY", 1),
            ("READY", 2),
            ("SUCCESSFUL", 3),
        ]
        assert len(seen[-1].errors) == 2

    def test_is_made_at_once_if_there_is_no_backoff(self) -> None:
        samples.ask_for_a_retry.enqueue()
        first, last = run_tasks(raise_failures=False)
        assert first.id == last.id
        assert (first.status, last.status) == ("READY", "FAILED")

    def test_after_a_snooze_is_not_counted(self) -> None:
        samples.snooze_first.enqueue()
        with clock() as moved:
            [snoozed] = run_tasks()
            moved.advance(MINUTE)
            [result] = run_tasks()
        assert (snoozed.status, snoozed.attempts) == ("READY", 0)
        assert (result.return_value, result.attempts) == ("awake", 1)

    def test_is_not_made_at_a_run_that_was_cancelled_meanwhile(self) -> None:
        samples.cancel_itself_and_fail.using(max_attempts=2).enqueue()
        [result] = run_tasks()
        assert (result.status, result.is_cancelled) == ("FAILED", True)


def test_a_run_that_waited_too_long_is_not_executed() -> None:
    tasks.noop.using(expires=60).enqueue()
    with clock() as moved:
        moved.advance(minutes=1, seconds=1)
        with pytest.raises(TaskExpired):
            run_tasks()


@pytest.mark.parametrize("task", [samples.tell_and_fail, samples.tell_as_coroutine])
def test_what_a_task_tells_is_stored(task: Any) -> None:
    task.enqueue()
    [result] = run_tasks(raise_failures=False)
    result.refresh()
    assert (result.progress, result.target, result.metadata) == (3, 5, {"told": "all"})
    assert [message.text for message in result.messages] == ["well"]


def test_signals_are_sent_by_the_backends_class() -> None:
    tasks.fail.using(max_attempts=2, backoff=0).enqueue()
    with (
        received(task_started) as started,
        received(task_retried) as retried,
        received(task_finished) as finished,
    ):
        run_tasks(raise_failures=False)
    assert [len(sent) for sent in (started, retried, finished)] == [2, 1, 1]
    assert {sent["sender"] for sent in started + retried + finished} == {DatabaseBackend}


def test_the_log_tells_of_every_attempt(caplog: pytest.LogCaptureFixture) -> None:
    result = tasks.noop.enqueue()
    with caplog.at_level("INFO", "taskworks.runs"):
        run_tasks()
    [record] = [record for record in caplog.records if record.name == "taskworks.runs"]
    assert (record.task_id, record.task_state) == (result.id, "successful")


class TestATransaction:
    @pytest.mark.parametrize(
        ("task", "error"),
        [
            (samples.write_one_type_twice, IntegrityError),
            (samples.run_bad_sql, DatabaseError),
        ],
    )
    def test_survives_what_a_task_does_to_it(self, task: Any, error: type[Exception]) -> None:
        ContentType.objects.create(app_label="tests", model="before")
        task.enqueue()
        tasks.noop.enqueue()
        failed, other = run_tasks(raise_failures=False)
        assert issubclass(failed.errors[0].exception_class, error)
        assert other.status == "SUCCESSFUL"
        assert ContentType.objects.filter(app_label="tests", model="before").exists()

    def test_of_a_task_has_its_commit(self) -> None:
        samples.enqueue_on_commit.enqueue("and then")
        assert names(run_tasks()) == ["enqueue_on_commit", "noop"]
        assert samples.called == ["in the task", "and then"]

    def test_has_it_once(self) -> None:
        samples.enqueue_on_commit.enqueue("and then")
        with TestCase.captureOnCommitCallbacks(execute=True):
            run_tasks()
        assert samples.called == ["in the task", "and then"]

    def test_has_none_if_it_is_rolled_back(self) -> None:
        samples.roll_back.enqueue()
        run_tasks(raise_failures=False)
        assert samples.called == []
        assert not ContentType.objects.filter(model="rolled back").exists()

    def test_whose_commit_fails_is_the_tasks(self) -> None:
        result = samples.fail_on_commit.enqueue()
        with pytest.raises(ValueError, match="too late"):
            run_tasks()
        assert run_of(result).state == "failed"


@pytest.mark.parametrize("alias", ["immediate", "dummy"])
def test_a_backend_that_stores_nothing_is_refused(alias: str) -> None:
    with pytest.raises(NotImplementedError, match=rf"'{alias}' \(\w+Backend\) does not store any"):
        run_tasks(backend=alias)


def test_the_kit_has_no_other_names() -> None:
    assert sorted(testing.__all__) == testing.__all__
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name
    with pytest.raises(AttributeError, match="nonsense"):
        testing.nonsense  # noqa: B018


def test_more_queues_than_a_worker_looks_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(running.store()), "max_queues", 2)
    for number in range(5):
        tasks.noop.using(backend="other", queue_name=f"tenant-{number}").enqueue()
    assert len(run_tasks(backend="other", queue_names=["tenant-3", "tenant-4"])) == 2
    assert len(run_tasks(backend="other")) == 3
