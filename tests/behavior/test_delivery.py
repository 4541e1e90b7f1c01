"""What a run's delivery promises, and what becomes of the runs of a dead worker."""

import json
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command

from taskworks import TaskResult, task_backends
from taskworks.duties.rescue import rescue
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun, Worker
from taskworks.signals import task_finished, task_lost, task_rescued, task_started
from taskworks.store import store
from tests import tasks
from tests.behavior import deadly, received, rewrite, run_of, run_worker
from tests.stopping.runs import working
from tests.waiting import wait_for

with_database = pytest.mark.django_db(transaction=True)
ALL = {"thread": 10, "process": 10, "async": 10, "alone": 10}
StartsTasks = Callable[..., None]


def bury(*, started: bool = True) -> list[TaskRun]:
    """A worker takes all that is ready, begins it or not, and dies."""
    worker = Worker(id=uuid4(), label="dead", hostname="here", pid=1)
    store().register(worker)
    runs = store().claim(worker.id, "default", ["default"], ALL)
    if started:
        for run in runs:
            run.state, run.attempts, run.worker_ids = "running", run.attempts + 1, ["dead"]
            run.started_at = run.last_attempted_at = run.claimed_at
        assert store().start(runs) == {run.id for run in runs}
    worker.delete()
    return runs


class TestTheOption:
    def test_is_refused_if_it_is_no_delivery(self) -> None:
        with pytest.raises(InvalidTask, match="one of 'at_least_once', 'at_most_once', not"):
            tasks.add.using(delivery="exactly_once")

    @with_database
    def test_is_stored_when_a_run_is_enqueued(self) -> None:
        assert not run_of(tasks.noop.enqueue()).at_most_once
        assert run_of(tasks.noop.using(delivery="at_most_once").enqueue()).at_most_once
        [result] = tasks.noop.using(delivery="at_most_once").enqueue_many([()])
        assert run_of(result).at_most_once

    def test_has_a_default(self, settings: Any) -> None:
        default = {**settings.TASKS["default"]}
        default["OPTIONS"] = {"TASK_DEFAULTS": {"delivery": "at_most_once"}}
        settings.TASKS = {**settings.TASKS, "default": default}
        assert tasks.add.policy.delivery == "at_most_once"
        assert tasks.add.using(delivery="at_least_once").policy.delivery == "at_least_once"


@with_database
class TestTheStart:
    """Is written before the first line where it must be known."""

    def seen(self, result: TaskResult) -> tuple[str, int]:
        run_worker()
        run = run_of(result)
        assert (run.state, run.attempts, len(run.worker_ids)) == ("successful", 1, 1)
        return run.return_value["state"], run.return_value["attempts"]

    @pytest.mark.parametrize("task", [deadly.tell_row, deadly.tell_row_async])
    def test_is_written_late_as_a_rule(self, task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskworks.recording.ledger.WRITE_START_AFTER", 60.0)
        assert self.seen(task.enqueue()) == ("claimed", 0)

    @pytest.mark.parametrize("task", [deadly.tell_row, deadly.tell_row_async])
    @pytest.mark.parametrize(
        "executor", [None, pytest.param("process", marks=pytest.mark.thorough_on_servers)]
    )
    def test_is_written_first_with_at_most_once(self, task: Any, executor: str | None) -> None:
        task = task.using(delivery="at_most_once", executor=executor)
        assert self.seen(task.enqueue()) == ("running", 1)

    def test_is_written_first_with_a_transaction(self) -> None:
        task = deadly.tell_row.using(transactional=True, timeout=15)
        assert self.seen(task.enqueue()) == ("running", 1)

    @pytest.mark.parametrize("task", [deadly.tell_row, deadly.tell_row_async])
    @pytest.mark.thorough_on_servers
    def test_is_written_first_of_a_suspect(self, task: Any) -> None:
        result = task.enqueue()
        rewrite(result, executor="alone")
        assert self.seen(result) == ("running", 1)

    def test_is_that_of_many_with_few_places(self) -> None:
        results = [deadly.tell_row.using(delivery="at_most_once").enqueue() for _ in range(30)]
        run_worker("--threads", "2")
        for result in results:
            run = run_of(result)
            assert (run.state, run.attempts) == ("successful", 1)
            assert run.return_value["state"] == "running"

    def test_that_another_has_taken_over_is_not_executed(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        kind, start = type(store()), type(store()).start

        def too_late(self: Any, runs: list[TaskRun]) -> Any:
            TaskRun.objects.update(claim_token=uuid4())
            return start(self, runs)

        monkeypatch.setattr(kind, "start", too_late)
        result = tasks.noop.using(delivery="at_most_once").enqueue()
        with received(task_started) as sent:
            run_worker()
        assert sent == []
        assert (run_of(result).state, run_of(result).attempts) == ("claimed", 0)
        assert "its outcome is lost" in caplog.text


@with_database
class TestASuspect:
    @pytest.mark.parametrize(
        "task",
        [deadly.tell_row, deadly.tell_row_async, deadly.standard],
        ids=["sync", "async", "standard"],
    )
    @pytest.mark.thorough_on_servers
    def test_is_executed_in_another_process(self, task: Any) -> None:
        result = task.enqueue()
        bury()
        run_worker("--threads", "1", "--async-slots", "0", "--task-processes", "0")
        run = run_of(result)
        value = run.return_value
        assert (run.state, run.attempts) == ("successful", 2)
        assert (value["pid"] if isinstance(value, dict) else value) != os.getpid()

    @pytest.mark.parametrize(
        "task", [deadly.die, pytest.param(deadly.die_async, marks=pytest.mark.not_every_day)]
    )
    @pytest.mark.thorough_on_servers
    def test_that_crashes_three_times_is_poison(
        self, task: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        result = task.using(max_attempts=10, backoff=0).enqueue("segfault")
        bury()
        neighbours = [tasks.add.enqueue(1, 2), tasks.add_async.enqueue(1, 2)]
        with received(task_finished) as sent:
            run_worker()
        run = run_of(result)
        assert (run.state, run.crashes, run.failures, run.attempts) == ("failed", 3, 0, 4)
        assert [kind(entry) for entry in run.errors] == [
            "TaskCrashed",
            "TaskCrashed",
            "TaskPoisoned",
        ]
        assert all("SIGSEGV" in entry["traceback"] for entry in run.errors)
        assert {run_of(neighbour).state for neighbour in neighbours} == {"successful"}
        assert str(run.id) in [event["task_result"].id for event in sent]
        assert caplog.text.count("crashed while it was executed alone") == 2

    def test_that_is_poison_is_shown_and_may_be_retried(self) -> None:
        result = deadly.die_async.enqueue("exit")
        rewrite(result, executor="alone", crashes=2)
        run_worker()
        shown = StringIO()
        call_command("taskworks", "show", result.id, "--json", stdout=shown)
        keys = json.loads(shown.getvalue())
        assert (keys["state"], keys["crashes"], keys["executor"]) == ("failed", 3, "alone")
        assert result.retry()
        run = run_of(result)
        assert (run.state, run.crashes, run.executor, len(run.errors)) == ("ready", 0, "async", 1)

    @pytest.mark.thorough_on_servers
    def test_that_kills_only_every_second_time_is_innocent_in_the_end(self, tmp_path: Path) -> None:
        result = deadly.die_at_every_second_time.enqueue(str(tmp_path / "ledger"))
        bury()
        run_worker()
        run = run_of(result)
        assert (run.state, run.return_value, run.crashes, run.failures) == ("successful", 2, 1, 0)

    @pytest.mark.thorough_on_servers
    def test_that_ends_otherwise_goes_back_to_its_executor(self, tmp_path: Path) -> None:
        result = deadly.die_first_and_fail_then.enqueue(str(tmp_path / "ledger"))
        bury()
        run_worker()
        run = run_of(result)
        assert (run.state, run.executor, run.crashes) == ("successful", "thread", 1)

    def test_comes_behind_the_others(self) -> None:
        suspect = tasks.note.enqueue("/dev/null", "suspect")
        bury()
        other = tasks.note.enqueue("/dev/null", "other")
        rescue(store())
        assert run_of(other).available_at < run_of(suspect).available_at


@with_database
class TestAtMostOnce:
    def test_is_lost_if_its_worker_dies(self) -> None:
        result = tasks.noop.using(delivery="at_most_once", max_attempts=5).enqueue()
        bury()
        with received(task_lost) as lost, received(task_finished) as finished:
            run_worker()
        run = run_of(result)
        assert (run.state, run.attempts, run.failures) == ("failed", 1, 0)
        [entry] = run.errors
        assert (kind(entry), entry["attempt"]) == ("TaskLost", 1)
        for event in (*lost, *finished):
            assert event["sender"] is type(task_backends["default"])
            assert (event["task_result"].id, event["task_result"].status) == (result.id, "FAILED")
        assert (len(lost), len(finished)) == (1, 1)

    def test_comes_back_if_it_had_not_begun(self) -> None:
        result = tasks.add.using(delivery="at_most_once").enqueue(1, 2)
        bury(started=False)
        with received(task_rescued) as rescued:
            run_worker()
        run = run_of(result)
        assert (run.state, run.executor, run.attempts) == ("successful", "thread", 1)
        assert [event["task_result"].id for event in rescued] == [result.id]

    @pytest.mark.thorough_on_servers
    def test_is_not_retried_after_a_crash(self) -> None:
        task = deadly.die.using(
            delivery="at_most_once", executor="process", max_attempts=5, backoff=0
        )
        result = task.enqueue("exit")
        run_worker()
        run = run_of(result)
        assert (run.state, run.attempts) == ("failed", 1)
        assert [kind(entry) for entry in run.errors] == ["TaskCrashed"]

    def test_is_retried_after_a_failure(self) -> None:
        task = tasks.fail.using(delivery="at_most_once", max_attempts=3, backoff=0)
        result = task.enqueue()
        run_worker()
        assert (run_of(result).state, run_of(result).attempts) == ("failed", 3)

    @pytest.mark.parametrize("executor", ["thread", "process"])
    def test_is_lost_if_its_worker_stops_in_the_middle(self, tmp_path: Path, executor: str) -> None:
        ledger, never = tmp_path / "ledger", tmp_path / "never"
        task = deadly.note_and_wait.using(executor=executor)
        result = task.enqueue(str(ledger), str(never))
        with received(task_lost) as lost, working(task_processes=1) as worker:
            wait_for(lambda: ledger.exists() and ledger.read_text(), "it has begun")
            worker.stop()
            worker.stop()
        run = run_of(result)
        assert (run.state, run.attempts, [kind(entry) for entry in run.errors]) == (
            "failed",
            1,
            ["TaskLost"],
        )
        assert [event["task_result"].id for event in lost] == [result.id]
        assert ledger.read_text() == "x"


@with_database
def test_a_rescued_run_is_announced_as_it_is_then() -> None:
    result = tasks.add.enqueue(1, 2)
    bury()
    with received(task_rescued) as sent:
        assert rescue(store()) == 1
    [event] = sent
    assert event["sender"] is type(task_backends["default"])
    assert (event["task_result"].id, event["task_result"].status) == (result.id, "READY")
    assert event["task_result"].attempts == 1


@with_database
def test_a_receiver_that_raises_changes_nothing_of_a_rescue() -> None:
    results = [tasks.add.enqueue(1, 2) for _ in range(3)]
    bury()

    def refuse(**kwargs: Any) -> None:
        raise ValueError("not with me")

    task_rescued.connect(refuse)
    try:
        assert rescue(store()) == 3
    finally:
        task_rescued.disconnect(refuse)
    assert {run_of(result).state for result in results} == {"ready"}


def kind(entry: dict[str, str]) -> str:
    return entry["exception_class_path"].rpartition(".")[2]
