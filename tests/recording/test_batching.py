"""How long an outcome is held to be written with others, and a run that was claimed ahead."""

from pathlib import Path

import pytest

from taskworks import task_backends
from taskworks.execution import Attempt, Succeeded, prepare
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.recording import ledger
from taskworks.recording.ledger import MAX_OUTCOMES_HELD, Ledger
from taskworks.store import store
from taskworks.worker import Options, Queues, Sizes, Worker
from tests import tasks
from tests.connections import begin_elsewhere
from tests.recording.in_hand import new_ledger, submit
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def in_hand(count: int) -> tuple[Ledger, list[Attempt]]:
    """So many attempts that have begun."""
    tasks.noop.enqueue_many([()] * count)
    row = WorkerRow(label="of a test", hostname="here", pid=1)
    store().register(row)
    held = new_ledger()
    runs = store().claim(row.id, "default", ["default"], {"thread": count})
    attempts = [Attempt(run, "of a test") for run in runs]
    for attempt in attempts:
        assert prepare(attempt) is None
        submit(held, [attempt])
        attempt.begin()
    return held, attempts


def written() -> int:
    return TaskRun.objects.successful().count()


def hold_for(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "HOLD_OUTCOME_FOR", seconds)


def test_an_outcome_is_held_while_others_may_end_but_for_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ledger.HOLD_OUTCOME_FOR <= 0.005
    held, (first, _) = in_hand(2)
    hold_for(3600, monkeypatch)
    held.settle(first, Succeeded(None))
    held.record()
    assert written() == 0
    assert 3500 < held.seconds <= 3600  # when the worker looks again, if nothing happens
    hold_for(0, monkeypatch)
    assert held.seconds == 0
    held.record()
    assert written() == 1


def test_it_is_not_held_when_there_is_nothing_else_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    held, attempts = in_hand(3)
    hold_for(3600, monkeypatch)
    for attempt in attempts:
        held.settle(attempt, Succeeded(None))
    held.record()
    assert written() == 3


def test_it_is_not_held_when_enough_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    held, attempts = in_hand(MAX_OUTCOMES_HELD + 1)
    hold_for(3600, monkeypatch)
    for attempt in attempts[:MAX_OUTCOMES_HELD]:
        held.settle(attempt, Succeeded(None))
    held.record()
    assert written() == MAX_OUTCOMES_HELD


def test_what_was_claimed_ahead_and_cannot_begin_goes_back_uncounted(tmp_path: Path) -> None:
    quick = tasks.noop.enqueue_many([()] * 200)
    held_up = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    ahead = tasks.noop.enqueue_many([()] * 60)
    options = Options(queues=Queues(), interval=0.02, sizes=Sizes(threads=1))
    worker = Worker(task_backends["default"], options)
    running = begin_elsewhere(worker.run)
    later = TaskRun.objects.filter(id__in=[result.id for result in ahead])
    try:
        wait_for(lambda: TaskRun.objects.get(id=held_up.id).state == "running", "it has begun")
        wait_for(lambda: worker.released > 0, "some were claimed ahead of it, and given back")
        wait_for(lambda: set(later.values_list("state", flat=True)) == {"ready"}, "all wait again")
        assert set(later.values_list("attempts", "claimed_by", "claim_token")) == {(0, None, None)}
        (tmp_path / "go").touch()
        wait_for(lambda: written() == len(quick) + 1 + len(ahead), "all are executed")
    finally:
        worker.stop()
        running.result(timeout=60)
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}
