"""Runs of a backend with a database of its own are there, and in no other."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import TaskResultStatus, Unique, control, task_backends
from taskworks.actions import limit_checks, pause_checks, steps_shown
from taskworks.exceptions import InvalidTask, InvalidWorkflow, TaskResultDoesNotExist
from taskworks.models import Limit, Pause, Statistic, TaskRun, UniqueKey
from taskworks.store import store
from taskworks.testing import assert_enqueued, run_tasks
from taskworks.workflows import Workflow
from tests import limited, tasks
from tests.behavior import DATABASE_BACKEND, run_worker
from tests.settings import TASKS
from tests.shards.backends import SHARD, SHARDED
from tests.shards.several import counts
from tests.steps import shelf

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", SHARD])

READY, SUCCESSFUL = TaskResultStatus.READY, TaskResultStatus.SUCCESSFUL


def bulk(task: Any, **options: Any) -> Any:
    return task.using(backend="bulk", **options)


def statements_of_an_enqueue() -> tuple[int, int]:
    """In the database of the default backend, and in the shard."""
    tasks.noop.enqueue()  # the first one may prepare a statement
    with (
        CaptureQueriesContext(connections["default"]) as here,
        CaptureQueriesContext(connections[SHARD]) as there,
    ):
        tasks.noop.enqueue()
    return len(here), len(there)


class TestWhereRunsAre:
    def test_each_backend_s_in_its_own_database(self) -> None:
        tasks.noop.enqueue()
        bulk(tasks.noop).enqueue()
        tasks.noop.using(backend="more").enqueue_many([()] * 3)
        assert counts() == (1, 4)

    def test_a_transaction_there_decides(self) -> None:
        with transaction.atomic(using=SHARD):
            bulk(tasks.noop).enqueue()
            assert counts() == (0, 1)
            transaction.set_rollback(True, using=SHARD)
        assert counts() == (0, 0)

    def test_a_transaction_elsewhere_hands_them_over_when_it_commits(self) -> None:
        with transaction.atomic():
            result = bulk(tasks.add).enqueue(1, 2)
            assert counts() == (0, 0)
        assert counts() == (0, 1)
        assert bulk(tasks.add).get_result(result.id).args == [1, 2]
        with transaction.atomic():
            bulk(tasks.noop).enqueue()
            transaction.set_rollback(True)
        assert counts() == (0, 1)

    def test_a_plain_enqueue_is_the_same_statements_and_asks_no_shard(self, settings: Any) -> None:
        # Notifications are not sent more often than every 20 ms.
        settings.TASKWORKS = {**settings.TASKWORKS, "NOTIFY": False}
        with_shards = statements_of_an_enqueue()
        settings.TASKS = TASKS
        assert statements_of_an_enqueue() == with_shards
        assert with_shards[1] == 0

    def test_the_default_backend_may_be_a_shard(self, settings: Any) -> None:
        settings.TASKS = {"default": SHARDED["bulk"]}
        result = tasks.add.enqueue(1, 2)
        assert counts() == (0, 1)
        run_worker()
        assert result.wait(60).return_value == 3
        assert control.pauses() == []


class TestResults:
    def test_are_found_in_their_own_database(self) -> None:
        result = bulk(tasks.add).enqueue(1, 2)
        assert task_backends["bulk"].get_result(result.id) == result
        with pytest.raises(TaskResultDoesNotExist):
            tasks.add.get_result(result.id)
        with pytest.raises(TaskResultDoesNotExist):
            tasks.add.using(backend="more").get_result(result.id)

    def test_are_refreshed_awaited_cancelled_and_retried_there(self) -> None:
        added, failed, waiting = (
            bulk(tasks.add).enqueue(1, 2),
            bulk(tasks.fail).enqueue(),
            bulk(tasks.noop, run_after=timedelta(days=1)).enqueue(),
        )
        assert waiting.cancel()
        assert waiting.is_cancelled
        run_worker("--backend", "bulk")
        assert added.wait(60).return_value == 3
        assert failed.wait(60).status == TaskResultStatus.FAILED
        assert failed.retry()
        assert failed.status == READY
        assert control.why_waiting(failed) == "No worker is running."

    def test_a_worker_takes_the_runs_of_its_backend_alone(self) -> None:
        here, there = tasks.noop.enqueue(), bulk(tasks.noop).enqueue()
        run_worker("--backend", "bulk")
        here.refresh()
        there.refresh()
        assert (here.status, there.status) == (READY, SUCCESSFUL)
        run_worker()
        assert here.wait(60).status == SUCCESSFUL

    def test_what_workers_count_is_counted_there(self) -> None:
        bulk(tasks.noop).enqueue()
        run_worker("--backend", "bulk")
        assert Statistic.objects.using(SHARD).exists()
        assert not Statistic.objects.using("default").exists()

    def test_the_test_kit_finds_and_executes_them(self) -> None:
        bulk(tasks.add).enqueue(1, 2)
        assert_enqueued(bulk(tasks.add), args=[1, 2], times=1)
        [result] = run_tasks(backend="bulk")
        assert result.return_value == 3


class TestTasks:
    def test_record_steps_and_metadata_where_their_run_is(self) -> None:
        result = bulk(shelf.two_steps).enqueue()
        run_worker("--backend", "bulk")
        assert result.wait(60).return_value == ["first", "second"]
        run = TaskRun.objects.using(SHARD).get()
        assert [step.name for step in steps_shown.of(store(SHARD), run)] == ["first", "second"]

    def test_cannot_be_transactional(self) -> None:
        with pytest.raises(InvalidTask, match=f"'{SHARD}', and tasks write to 'default'"):
            bulk(tasks.noop, transactional=True).enqueue()
        assert counts() == (0, 0)

    def test_have_no_atomic_steps(self) -> None:
        result = bulk(shelf.writes, max_attempts=1).enqueue(atomic=True)
        run_worker("--backend", "bulk")
        result.refresh()
        assert result.status == TaskResultStatus.FAILED
        assert f"{SHARD!r}" in result.errors[0].traceback
        assert steps_shown.of(store(SHARD), TaskRun.objects.using(SHARD).get()) == []
        assert not UniqueKey.objects.exists()


class TestAcross:
    """What is not promised across databases is refused, or is of each one."""

    def test_no_run_follows_another(self) -> None:
        first = tasks.noop.enqueue()
        backend: Any = task_backends["bulk"]
        with pytest.raises(InvalidTask, match="cannot follow one in another database"):
            backend.enqueue_after(bulk(tasks.noop), [], {}, first)
        second = tasks.noop.using(backend="more").enqueue()
        backend.enqueue_after(bulk(tasks.noop), [], {}, second)
        assert counts() == (1, 2)

    def test_a_workflow_is_in_the_database_of_its_backend(self) -> None:
        flow = Workflow("sum")
        flow.add("one", bulk(tasks.add), 1, 2)
        flow.add("two", bulk(tasks.noop), after="one")
        result = flow.enqueue()
        assert counts() == (0, 2)
        run_worker("--backend", "bulk")
        result.wait(60)
        assert result.status == "successful"
        assert Workflow.get_result(result.id, backend="bulk").result("one") == 3

    def test_no_workflow_has_runs_of_two_databases(self) -> None:
        flow = Workflow("sum")
        flow.add("one", bulk(tasks.add), 1, 2)
        flow.add("two", tasks.noop, after="one")
        with pytest.raises(InvalidWorkflow):
            flow.enqueue()
        assert counts() == (0, 0)

    def test_a_unique_key_is_that_of_one_database(self) -> None:
        task = tasks.noop.using(unique=Unique())
        for backend in ("default", "bulk", "bulk"):
            task.using(backend=backend).enqueue()
        assert counts() == (1, 1)

    def test_a_limit_is_that_of_one_database(self, settings: Any) -> None:
        settings.TASKWORKS = {**settings.TASKWORKS, "LIMITS": {"narrow": {"total": 1}}}
        for backend in ("default", "bulk"):
            tasks.noop.using(backend=backend, limit="narrow").enqueue()
            run_worker("--backend", backend)
        for alias in ("default", SHARD):
            assert Limit.objects.using(alias).get(name="narrow").total == 1
        control.change_limit("narrow", total=5)
        for alias in ("default", SHARD):
            assert Limit.objects.using(alias).get(name="narrow").in_force["total"] == 5

    def test_checks_say_where_a_pause_or_a_run_is(self) -> None:
        bulk(limited.import_file).enqueue("a")
        TaskRun.objects.using(SHARD).update(limit_name="old")
        now = store(SHARD).read_clock()
        Pause.objects.using(SHARD).create(kind="task", name="nowhere.gone", at=now)
        every = ["default", SHARD]
        [limit], [pause] = limit_checks.check_rows(every), pause_checks.check_rows(every)
        assert limit.msg.startswith(f"Runs wait in the database '{SHARD}' that have the limit")
        assert f"is paused in the database '{SHARD}', but" in pause.msg


class TestControl:
    def test_a_queue_is_paused_in_the_database_of_its_backend(self) -> None:
        control.pause("imports", backend="bulk")
        assert not Pause.objects.using("default").exists()
        [pause] = control.pauses()
        assert (pause.backend, pause._state.db) == ("bulk", SHARD)
        assert control.resume("imports", backend="bulk")
        assert control.pauses() == []

    def test_a_task_is_paused_in_all(self) -> None:
        results = [tasks.noop.enqueue(), bulk(tasks.noop).enqueue()]
        control.pause(task=tasks.noop)
        assert len(control.pauses()) == 2
        for backend in ("default", "bulk"):
            run_worker("--backend", backend)
        for result in results:
            result.refresh()
            assert result.status == READY
        assert control.resume(task=tasks.noop)
        assert control.clear(task=tasks.noop) == 2

    def test_a_filter_means_the_runs_of_all(self) -> None:
        tasks.noop.enqueue()
        bulk(tasks.noop).enqueue()
        tasks.noop.using(backend="more").enqueue()
        assert control.preview_runs("cancel", state="ready").count == 3
        assert control.cancel_runs(state="ready", backend="more").done == 1
        assert control.cancel_runs(state="ready").done == 2

    def test_what_acts_in_the_background_acts_in_one(self) -> None:
        bulk(tasks.noop, run_after=timedelta(days=1)).enqueue()
        with pytest.raises(ValueError, match="name the backend"):
            control.act_in_background("cancel", state="scheduled")
        started = control.act_in_background("cancel", state="scheduled", backend="bulk")
        run_worker("--backend", started.backend)
        assert started.wait(60).return_value["done"] == 1

    def test_what_rolls_back_here_is_not_undone_there(self) -> None:
        for alias in ("default", SHARD):
            row = Limit(name="narrow", at_once=2, declared={"at_once": 2})
            row.save(using=alias)
        here, there = tasks.noop.enqueue(), bulk(tasks.noop).enqueue()
        with transaction.atomic():
            control.pause(task=tasks.noop)
            control.change_limit("narrow", at_once=5)
            assert control.cancel_runs(state="ready").done == 2
            transaction.set_rollback(True)
        assert [pause._state.db for pause in control.pauses()] == [SHARD]
        numbers = [Limit.objects.using(one).get().at_once for one in ("default", SHARD)]
        assert numbers == [2, 5]
        here.refresh()
        there.refresh()
        assert (here.status, there.is_cancelled) == (READY, True)


class TestBadSettings:
    def test_a_database_that_is_not_there(self, settings: Any) -> None:
        bad = {"BACKEND": DATABASE_BACKEND, "OPTIONS": {"DATABASE": "quue"}}
        settings.TASKS = {**SHARDED, "bulk": bad}
        with pytest.raises(ImproperlyConfigured, match=r"is .quue., but .* mean .queue."):
            bulk(tasks.noop).enqueue()
