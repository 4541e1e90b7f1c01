"""Coroutine functions share places for connections; a run that gets no connection is put back."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections

from taskworks import Task, TaskResult
from taskworks.database import connection_places
from taskworks.database.connection_places import ConnectionPlaces, Place
from taskworks.models import TaskRun
from taskworks.worker import Sizes, Worker
from tests.connections import begin_elsewhere, elsewhere
from tests.limited_user import LimitedUser, connection_of, limited_user
from tests.processes.conftest import WorkerProcess, start_worker  # noqa: F401 - a fixture
from tests.settings import DATABASE
from tests.stopping.runs import UNHURRIED, wait_until, working
from tests.waiting import wait_for
from tests.worker import connecting

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "queue"]),
    pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite has no server, and so no limit."),
]

RUNS = 150
OWN_CONNECTIONS = 12  # of a worker, and those that the server has not noticed to be closed
VARIABLES = {"postgresql": "PG", "mariadb": "MARIADB_", "mysql": "MYSQL_"}


def of_user(user: LimitedUser) -> dict[str, str]:
    """The environment of a worker that connects as this user."""
    prefix = VARIABLES[DATABASE]
    return {
        f"{prefix}USER": user.name,
        f"{prefix}PASSWORD": user.password,
        "DJANGO_SETTINGS_MODULE": "tests.processes.patient",
    }


def test_with_its_defaults_a_worker_leaves_room_on_the_server(
    start_worker: Callable[..., WorkerProcess],  # noqa: F811
    tmp_path: Path,
) -> None:
    places = Sizes().async_connections
    results = connecting.meet.enqueue_many([(str(tmp_path), places)] * RUNS)
    with limited_user(places + OWN_CONNECTIONS) as user:
        worker = start_worker(**of_user(user)).wait_until_up()
        for result in results:
            wait_until(result, "successful", "failed")
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
    runs = TaskRun.objects.all()
    assert {(run.state, run.attempts, str(run.errors)) for run in runs} == {("successful", 1, "[]")}


@contextmanager
def one_place(path: Path, *, closes: bool = False) -> Iterator[tuple[Worker, TaskResult]]:
    """While this lasts, a worker that has one place works, and a run holds it until the end."""
    with working(async_connections=1) as worker:
        holder = connecting.hold.enqueue(str(path), closes=closes)
        wait_for(Path(f"{path}.held").exists, "it holds the place")
        yield worker, holder
        path.touch()


def wait_until_wanted(worker: Worker) -> None:
    pool: Any = worker._pools
    wait_for(lambda: pool._pools["async"]._places.are_wanted, "another wants the place")


def test_the_next_gets_the_place_that_is_left(tmp_path: Path) -> None:
    with one_place(tmp_path / "go") as (worker, holder):
        nexts = [connecting.count.enqueue() for _ in range(5)]
        wait_until_wanted(worker)
        assert not TaskRun.objects.successful().exists()
        (tmp_path / "go").touch()
        for result in [holder, *nexts]:
            assert wait_until(result, "successful", "failed").errors == []


def test_connections_that_are_closed_have_no_place(tmp_path: Path) -> None:
    with one_place(tmp_path / "go", closes=True) as (_, holder):
        wait_until(connecting.count.enqueue(), "successful")
        wait_until(holder, "running")


@pytest.mark.parametrize("task", [connecting.count_everywhere, connecting.count_in_another_run])
def test_nobody_who_has_a_place_waits_for_one(task: Task) -> None:
    with working(async_connections=1):
        results = [task.enqueue() for _ in range(3)]
        for result in results:
            assert wait_until(result, "successful", "failed").errors == []


def test_who_waits_for_a_place_is_cancelled(tmp_path: Path) -> None:
    with one_place(tmp_path / "go") as (worker, holder):
        result = connecting.count.enqueue()
        wait_until_wanted(worker)
        result.cancel()
        wait_until(result, "cancelled")
        assert wait_until(holder, "running")


def test_who_waits_for_a_place_keeps_no_worker_from_stopping(
    start_worker: Callable[..., WorkerProcess],  # noqa: F811
    tmp_path: Path,
) -> None:
    worker = start_worker("--async-connections", "1", **UNHURRIED).wait_until_up()
    task = connecting.hold
    holder = task.enqueue(str(tmp_path / "never"))
    wait_for((tmp_path / "never.held").exists, "it holds the place")
    waiting = task.enqueue(str(tmp_path / "other"))
    wait_until(waiting, "running")
    worker.send(signal.SIGTERM)
    worker.wait_for_line("Shutting down: ")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    for given_back in (holder, waiting):
        assert wait_until(given_back, "ready").attempts == 0
    assert not (tmp_path / "other.held").exists()


def test_nobody_waits_for_places_that_are_closed() -> None:
    places = ConnectionPlaces(1)

    def connect_then(do: Callable[[], object]) -> None:
        place = Place(places)
        place.guard_connections()
        connections["default"].ensure_connection()
        do()

    def wait_in_vain() -> None:
        waiting = begin_elsewhere(lambda: connect_then(bool))
        wait_for(lambda: places.are_wanted, "another wants the place")
        places.close()
        with pytest.raises(OperationalError, match="No database connection became free"):
            waiting.result(timeout=60)

    elsewhere(lambda: connect_then(wait_in_vain))


def test_who_has_waited_long_is_put_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(connection_places, "PATIENCE", 0.2)
    monkeypatch.setattr(connection_places, "LONG_WAIT", 0.1)
    with one_place(tmp_path / "go"):
        result = connecting.count.enqueue()
        run = wait_until(result, "scheduled", "failed")
        assert (run.state, run.attempts, run.errors) == ("scheduled", 0, [])
        (tmp_path / "go").touch()
        assert wait_until(result, "successful").attempts == 1
    assert "1 coroutine functions wait for a database connection" in caplog.text
    assert "No database connection became free" in caplog.text


@pytest.mark.parametrize(
    ("task", "executor"),
    [
        (connecting.query_as, "thread"),
        (connecting.query_as, "process"),
        (connecting.query_as_async, "async"),
    ],
)
def test_a_run_that_a_full_server_refuses_is_put_back(
    caplog: pytest.LogCaptureFixture, task: Task, executor: str
) -> None:
    with limited_user(1) as user, working(task_processes=1):
        with the_only_connection_of(user):
            result = task.using(executor=executor).enqueue(*user)
            run = wait_until(result, "scheduled", "failed")
            assert (run.state, run.attempts, run.errors) == ("scheduled", 0, [])
            assert run.missing_since is None
            wait_for(lambda: f"Run {result.id} of" in caplog.text, "it is logged")
            assert "postponed for" in caplog.text
            once = connecting.query_as.using(delivery="at_most_once").enqueue(*user)
            assert wait_until(once, "scheduled", "failed").state == "failed"
        assert wait_until(result, "successful").attempts == 1


@contextmanager
def the_only_connection_of(user: LimitedUser) -> Iterator[None]:
    with closing(connection_of(user)) as theirs:
        theirs.ensure_connection()
        yield
