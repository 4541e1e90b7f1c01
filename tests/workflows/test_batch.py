"""A batch: runs are added while others run; one callback when all have ended."""

from uuid import UUID

import pytest
from django.db import connection, transaction

from taskworks import Batch
from taskworks.backends.workflow_ends import end_workflows
from taskworks.duties.workflows import look_after_all
from taskworks.exceptions import InvalidWorkflow, WorkflowFinished
from taskworks.models import RunState, TaskRun
from taskworks.models import Step as StepRow
from taskworks.models import Workflow as Row
from taskworks.store import Store
from taskworks.workflows import batch as batches
from tests.connections import begin_elsewhere, held_elsewhere
from tests.on_request import on_request
from tests.workflows import tasks
from tests.workflows.conftest import Work
from tests.workflows.tasks import gather, step

without_sqlite = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="On SQLite one writes, and the others wait."
)


def opened_batch(*labels: str) -> Batch:
    """A batch whose block has begun, with these runs."""
    batch = new_batch().__enter__()
    for label in labels:
        batch.add(step, label)
    batch._flush()
    return batch


def new_batch(**options: object) -> Batch:
    return Batch("mail", then=step.step("then"), failed=step.step("failed"), **options)


def test_then_runs_when_all_have_succeeded(work: Work) -> None:
    with Batch("mail", then=gather.step("jobs"), failed=step.step("failed")) as batch:
        for label in "abc":
            batch.add(step, label)
    assert work() == ["a", "b", "c", "gather jobs"]
    assert not TaskRun.objects.exclude(state="successful").exists()
    batch.result.refresh()
    assert batch.result.status == "successful"
    assert batch.result.result("then") == ["A", "B", "C"]
    assert [one.name for one in batch.result.steps()] == ["jobs", "then"]


def test_failed_runs_when_all_have_ended_and_one_has_failed(work: Work) -> None:
    tasks.failing.add("a")
    with new_batch() as batch:
        for label in "abc":
            batch.add(step, label)
    assert work() == ["a", "b", "c", "failed"]
    batch.result.refresh()
    assert batch.result.status == "failed"
    tasks.failing.clear()
    assert batch.result.retry() == 1
    assert work() == ["a", "then"]
    batch.result.refresh()
    assert batch.result.status == "successful"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_of_any_number(number: int, work: Work) -> None:
    with new_batch() as batch:
        for label in range(number):
            batch.add(step, str(label))
    assert work() == [*map(str, range(number)), "then"]
    batch.result.refresh()
    assert batch.result.status == "successful"


def test_it_does_not_end_while_it_is_open(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "FLUSH_AT", 1)
    with new_batch() as batch:
        batch.add(step, "a")
        assert work() == ["a"]
        assert batch.result.progress() == pytest.approx(1 / 3)
        batch.add(step, "b")
        assert work() == ["b"]
        batch.result.refresh()
        assert batch.result.status == "running"
    assert work() == ["then"]


def test_a_batch_whose_block_raises_is_cancelled(work: Work) -> None:
    batch = opened_batch("a")
    batch.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert work() == ["failed"]
    batch.result.refresh()
    assert batch.result.status == "cancelled"


def test_a_batch_in_a_transaction_that_is_rolled_back_is_none() -> None:
    def fill() -> None:
        with transaction.atomic(), new_batch() as batch:
            batch.add(step, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert not TaskRun.objects.exists()
    assert not Row.objects.exists()


def test_who_filled_it_may_die_and_another_one_closes_it(work: Work) -> None:
    batch = opened_batch("a")
    assert work() == ["a"]
    assert batch.result.close()
    assert work() == ["then"]
    assert not batch.result.close()


def test_a_cancelled_batch_takes_nothing_more(work: Work) -> None:
    batch = opened_batch("a")
    assert batch.result.cancel()
    batch.add(step, "b")
    with pytest.raises(WorkflowFinished):
        batch.__exit__(None, None, None)
    assert work() == ["failed"]


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(InvalidWorkflow, match="must be a task"):
        Batch("mail", then=len)  # type: ignore[arg-type]
    with Batch("mail") as batch, pytest.raises(InvalidWorkflow, match="must be a task"):
        batch.add(print)  # type: ignore[arg-type]


@without_sqlite
def test_the_last_finish_while_it_is_being_closed(store: Store) -> None:
    """Case 31. Whoever comes second sees the other, or the sweep sees both."""
    batch = opened_batch("a")
    [jobs] = Row.objects.filter(parent__isnull=False)
    member = TaskRun.objects.get(workflow=jobs.id)

    def finish() -> int:
        TaskRun.objects.filter(id=member.id).update(
            state=RunState.SUCCESSFUL, finished_at=store.read_clock()
        )
        return len(store.end_workflows([jobs.id]).finished)

    with held_elsewhere(finish) as ended:
        assert ended == 0
        assert batch.result.close()
        assert Row.objects.get(id=jobs.id).outcome is None
    look_after_all(store)
    assert Row.objects.get(id=jobs.id).outcome == "successful"
    assert TaskRun.objects.get(id=StepRow.objects.get(name="then").id).state == "ready"
    assert not StepRow.objects.filter(name="failed").exists()


@on_request
def test_a_thousand_last_finishes_while_it_is_being_closed(store: Store) -> None:
    """Case 31."""
    for number in range(1000):
        batch = opened_batch(str(number))
        [jobs] = Row.objects.filter(parent=UUID(batch.result.id))

        def finish(jobs: Row = jobs) -> None:
            TaskRun.objects.filter(workflow=jobs.id).update(
                state=RunState.SUCCESSFUL, finished_at=store.read_clock()
            )
            end_workflows(store, [jobs.id])

        finished = begin_elsewhere(finish)
        batch.__exit__(None, None, None)
        finished.result(timeout=60)
        look_after_all(store)
        then = batch.result.step("then").task_result
        assert then
        assert TaskRun.objects.get(id=then.id).state == "ready"
        assert [one.name for one in batch.result.steps()] == ["jobs", "then"]
        assert TaskRun.objects.filter(workflow=UUID(batch.result.id)).count() == 1


def test_many_end_it_at_once_and_one_writes_it(store: Store) -> None:
    for _ in range(10):
        with new_batch() as batch:
            batch.add(step, "a")
        [jobs] = Row.objects.filter(parent=UUID(batch.result.id))
        TaskRun.objects.filter(workflow=jobs.id).update(
            state=RunState.SUCCESSFUL, finished_at=store.read_clock()
        )
        others = [
            begin_elsewhere(lambda id_=jobs.id: store.end_workflows([id_]).finished)
            for _ in range(4)
        ]
        ended = [row.id for other in others for row in other.result(timeout=60)]
        assert ended == [jobs.id]
        assert TaskRun.objects.filter(workflow=UUID(batch.result.id)).count() == 1
