"""The database goes away at every step of a run: the worker waits, and nothing is lost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import InternalError, OperationalError

from taskworks.database.outage import Outage
from taskworks.framework import task_backends
from taskworks.models import TaskRun
from taskworks.models import Worker as WorkerRow
from taskworks.store import Store, store
from taskworks.worker import Options, Queues, Worker
from taskworks.worker import loop as module
from tests import tasks
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

GONE = OperationalError("the server has gone away")
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Let a verb of the store fail a few times, before it does its work or after."""
    kind = type(store())
    log: list[str] = []

    def failing(
        verb: str, *, times: int, after_its_work: bool = False, error: Exception = GONE
    ) -> list[str]:
        whole = getattr(kind, verb)

        def broken(self: Store, *args: Any, **kwargs: Any) -> Any:
            answer = whole(self, *args, **kwargs) if after_its_work else None
            if log.count(verb) < times:
                log.append(verb)
                raise error
            return answer if after_its_work else whole(self, *args, **kwargs)

        monkeypatch.setattr(kind, verb, broken)
        return log

    return failing


def drain() -> None:
    Worker(task_backends["default"], Options(queues=Queues(), batch=True, interval=0.02)).run()


@pytest.mark.parametrize("after_its_work", [False, True], ids=["before", "answer lost"])
@pytest.mark.parametrize("verb", ["outlook", "promote", "claim", "finish", "release_strays"])
def test_every_run_ends_once_whatever_fails(
    failing: Callable[..., list[str]], verb: str, *, after_its_work: bool
) -> None:
    ids = {tasks.add.enqueue(number, 1).id for number in range(10)}
    if verb == "release_strays":
        failing("claim", times=1)
    times = 2
    if verb == "promote":
        TaskRun.objects.update(state="scheduled")
        times = 1 if after_its_work else 2  # then there is nothing to promote any more
    log = failing(verb, times=times, after_its_work=after_its_work)
    drain()
    assert log.count(verb) == times
    runs = TaskRun.objects.successful()
    assert {str(run.id) for run in runs} == ids
    assert {run.attempts for run in runs} == {1}


def test_after_bad_weather_the_connection_is_a_new_one(
    failing: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other may have died while the worker waited, and it would have to wait once more."""
    tasks.noop.enqueue()
    failing("claim", times=1)
    used: list[Any] = []
    claim = type(store()).claim

    def noted(self: Store, *args: Any, **kwargs: Any) -> Any:
        self.connection.ensure_connection()
        used.append(self.connection.connection)
        return claim(self, *args, **kwargs)

    monkeypatch.setattr(type(store()), "claim", noted)
    drain()
    assert used[1] is not used[0]


def test_a_database_that_only_reads_fails_no_run(failing: Callable[..., list[str]]) -> None:
    """It refuses each row, and the row's failure too: that is not about the row."""
    result = tasks.add.enqueue(1, 2)
    log = failing("finish", times=4, error=InternalError("in a read-only transaction"))
    drain()
    assert len(log) == 4
    run = TaskRun.objects.get(id=result.id)
    assert (run.state, run.return_value, run.failures, run.errors) == ("successful", 3, 0, [])


def test_a_start_that_fails_is_written_with_the_finish(
    failing: Callable[..., list[str]], tmp_path: Any
) -> None:
    result = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    log = failing("start", times=1)

    def let_it_go() -> None:
        wait_for(lambda: log == ["start"], "the write of its start has failed")
        (tmp_path / "go").touch()

    letting = begin_elsewhere(let_it_go)
    drain()
    letting.result(timeout=60)
    run = TaskRun.objects.get(id=result.id)
    assert (run.state, run.attempts) == ("successful", 1)
    assert run.started_at < run.finished_at


def test_a_worker_that_cannot_sign_off_leaves_its_runs_to_be_rescued(
    failing: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    tasks.noop.enqueue()
    failing("leave", times=3)
    drain()
    assert "could not sign off" in caplog.text


def test_the_wait_grows_to_ten_seconds_and_one_line_a_minute_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    weather = Outage()
    waits = [weather.note_error(OperationalError("gone")) for _ in range(50)]
    assert waits[0] <= 0.2
    assert 5 <= waits[-1] <= 10
    assert all(0 < wait <= 10 for wait in waits)
    assert caplog.text.count("Database error while claiming and recording runs") == 1
    assert weather.is_on
    weather.clear()
    weather.clear()
    assert caplog.text.count("answers again") == 1
    assert not weather.is_on
    assert weather.note_error(OperationalError("gone")) <= 0.2


def test_a_claim_that_a_server_makes_late_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a session whose other end has gone, and when nobody thinks of the storm any more."""
    monkeypatch.setattr(module, "STRAY_INTERVAL", 0.2)
    worker = Worker(task_backends["default"], Options(queues=Queues(), interval=0.02))
    running = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: WorkerRow.objects.filter(id=worker.id).exists(), "it has registered")
        result = tasks.noop.using(run_after=timedelta(hours=1)).enqueue()
        claim = {"claimed_by": worker.id, "claim_token": uuid4()}
        TaskRun.objects.filter(id=result.id).update(state="claimed", **claim)
        wait_for(lambda: TaskRun.objects.get(id=result.id).state == "successful", "it is executed")
    finally:
        worker.stop()
        running.result(timeout=30)
