"""What steps cost those who use none, and what becomes of them with their runs."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from taskworks import Limit, TaskContext, task, task_backends
from taskworks.duties.prune import prune
from taskworks.duties.tidy import tidy
from taskworks.models import Event, RunState, StepRecord, TaskRun, Worker
from taskworks.options.retention import Rule
from taskworks.store import stepping, store
from taskworks.testing.running import Runner
from taskworks.worker.claiming.queues import Queues
from tests import tasks
from tests.behavior import executed, run_of, run_worker
from tests.steps import shelf

pytestmark = pytest.mark.django_db(transaction=True)

TABLES = (StepRecord._meta.db_table, Event._meta.db_table)
AT_ONCE = Rule(backend="default", outcome="successful", age=timedelta())


def left() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (StepRecord, Event)}


def executed_with_steps(count: int = 2) -> None:
    for _ in range(count):
        shelf.waits.enqueue().send("approved", 1)
    run_worker()
    assert left() == {"StepRecord": 2 * count, "Event": count}


@pytest.mark.parametrize("task", [tasks.noop, tasks.tell_context, tasks.add_async])
def test_a_run_without_steps_reads_and_writes_none(task: Any) -> None:
    arguments = [1, 2] if task is tasks.add_async else []
    with CaptureQueriesContext(connection) as captured:
        task.enqueue(*arguments)
        runner = Runner(task_backends["default"], Queues())
        with runner.registered():
            run = runner.claim()
            assert run
            runner.execute(run)
    statements = [query["sql"] for query in captured]
    assert any("INSERT" in sql for sql in statements)
    assert not [sql for sql in statements if any(table in sql for table in TABLES)]


def test_pruning_takes_them_along() -> None:
    executed_with_steps()
    kept = shelf.waits.enqueue()
    run_worker()
    assert prune(store(), [AT_ONCE]) == 2
    assert left() == {"StepRecord": 1, "Event": 1}
    assert {*StepRecord.objects.values_list("run", flat=True)} == {run_of(kept).id}


def test_pruning_runs_without_steps_costs_no_statement_more() -> None:
    for _ in range(2):
        tasks.noop.enqueue()
    run_worker()
    with CaptureQueriesContext(connection) as captured:
        assert prune(store(), [AT_ONCE]) == 2
    of_steps = [q["sql"] for q in captured if any(table in q["sql"] for table in TABLES)]
    assert len(of_steps) == 1
    assert "taskworks_uniquekey" in of_steps[0]


def test_rows_of_runs_that_others_have_deleted_go_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    executed_with_steps(3)
    kept = shelf.waits.enqueue()
    run_worker()
    TaskRun.objects.exclude(id=kept.id).delete()
    monkeypatch.setattr("taskworks.duties.tidy.CHUNK", 2)
    monkeypatch.setattr(stepping, "MAX_DELETED", 2)
    tidy(store())
    assert left() == {"StepRecord": 1, "Event": 1}


def test_the_rows_of_many_runs_are_deleted_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stepping, "MAX_DELETED", 3)
    runs = [uuid4() for _ in range(4)]
    at = store().read_clock()
    StepRecord.objects.bulk_create(
        StepRecord(run=run, name=f"{n}", kind="step", ended_at=at) for run in runs for n in range(2)
    )
    with CaptureQueriesContext(connection) as captured:
        store().forget_steps(runs)
    deletes = [query for query in captured if query["sql"].startswith("DELETE")]
    assert len(deletes) == 4
    assert not StepRecord.objects.exists()


def test_a_week_s_sleep_survives_pruning_and_its_rescued_attempt_has_no_slot() -> None:
    """Cases 32 and 33: nothing of an unfinished run is pruned; a limit of one is not kept busy."""
    result = limited.enqueue()
    run_worker()
    assert run_of(result).state == RunState.SCHEDULED
    prune(store(), [AT_ONCE])
    tidy(store())
    assert StepRecord.objects.count() == 1
    other = limited.enqueue(sleeps=False)
    assert executed(other).return_value == "done"
    TaskRun.objects.filter(id=result.id).update(state="ready")
    dead = Worker(label="dead", hostname="here", pid=1)
    store().register(dead)
    runner = Runner(task_backends["default"], Queues())
    runner._id = dead.id
    assert runner.claim()
    blocked = limited.enqueue(sleeps=False)
    run_worker()
    assert run_of(blocked).state == RunState.READY
    store().give_up_dead(dead.id)
    run_worker()
    assert executed(blocked).return_value == "done"
    assert run_of(result).state == RunState.SCHEDULED


@task(takes_context=True, limit=Limit("one at once", at_once=1))
def limited(context: TaskContext, *, sleeps: bool = True) -> str:
    if sleeps:
        context.sleep("nap", timedelta(days=7))
    return "done"


def test_what_others_wrote_ends_no_worker() -> None:
    result = shelf.two_steps.enqueue()
    table = connection.ops.quote_name(StepRecord._meta.db_table)
    StepRecord.objects.create(
        run=run_of(result).id, name="first", kind="?", value=1, ended_at=store().read_clock()
    )
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET value = 'no json'")
    assert executed(result).return_value == ["no json", "second"]
