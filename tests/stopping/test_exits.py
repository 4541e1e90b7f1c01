"""Processes leave as Python does, with their exit handlers, and are killed if these hang."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from taskworks import Task
from taskworks.worker import Recycling
from taskworks.worker.pools import processes
from tests import tasks
from tests.alive import is_alive
from tests.processes.conftest import WorkerProcess
from tests.stopping import shelf
from tests.stopping.runs import UNHURRIED, wait_until, working
from tests.waiting import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]

StartWorker = Callable[..., WorkerProcess]
LEISURELY = {"DJANGO_SETTINGS_MODULE": "tests.stopping.leisurely.settings"}
LAST_WORDS = {"exit handler", "finalizer"}


@pytest.fixture
def _leisurely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children of this process have as long as they want to leave."""
    monkeypatch.setattr(processes, "EXIT_TIMEOUT", 600.0)


def in_child(task: Task, *args: object) -> int:
    """Have it executed in a child process; its process id."""
    result = task.using(executor="process").enqueue(*args)
    pid: int = wait_until(result, "successful").return_value
    return pid


def words_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} & LAST_WORDS


@pytest.mark.usefixtures("_leisurely")
def test_an_idle_child_has_left_when_its_worker_has_ended(tmp_path: Path) -> None:
    with working(task_processes=1):
        child = in_child(shelf.leave_word, str(tmp_path))
        forked = shelf.fork_a_process.func(str(tmp_path / "end"))  # holds the pipe open
        assert not words_in(tmp_path)
    assert words_in(tmp_path) == LAST_WORDS
    assert not is_alive(child)
    (tmp_path / "end").touch()
    os.waitpid(forked, 0)


@pytest.mark.usefixtures("_leisurely")
def test_a_child_that_is_replaced_leaves_too_and_holds_nobody_up(tmp_path: Path) -> None:
    with working(task_processes=1, recycling=Recycling(max_tasks=1)):
        in_child(shelf.leave_word, str(tmp_path))
        wait_for(lambda: words_in(tmp_path) == LAST_WORDS, "it has left")
        leaving = in_child(shelf.wait_at_the_end, str(tmp_path / "end"))
        assert in_child(shelf.pid) != leaving
        assert is_alive(leaving)
        (tmp_path / "end").touch()


@pytest.mark.parametrize(
    ("arguments", "number"),
    [((), signal.SIGTERM), ((), signal.SIGINT), (("--processes", "2"), signal.SIGTERM)],
)
def test_a_worker_that_is_asked_to_stop_waits_for_its_children(
    start_worker: StartWorker, tmp_path: Path, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    worker = start_worker("--task-processes", "1", *arguments, **LEISURELY).wait_until_up()
    in_child(shelf.leave_word, str(tmp_path))
    worker.send(number)
    assert worker.wait() == 0
    assert words_in(tmp_path) == LAST_WORDS


def test_a_child_leaves_alone_if_its_worker_is_killed(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker("--task-processes", "1", **LEISURELY).wait_until_up()
    wait_until(shelf.fork_a_process.enqueue(str(tmp_path / "never")), "successful")
    child = in_child(shelf.leave_word, str(tmp_path))
    worker.send(signal.SIGKILL)
    wait_for(lambda: not is_alive(child), "it has left")
    assert words_in(tmp_path) == LAST_WORDS


@pytest.mark.parametrize("how", ["exit handler", "thread"])
def test_a_child_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(processes, "EXIT_TIMEOUT", 0.5)
    with working(task_processes=1):
        child = in_child(shelf.hang_at_the_end, how)
    assert not is_alive(child)


@pytest.mark.parametrize("how", ["exit handler", "C code"])
def test_a_child_that_hangs_kills_itself_if_its_worker_is_gone(
    start_worker: StartWorker, how: str
) -> None:
    worker = start_worker("--task-processes", "1").wait_until_up()
    child = in_child(shelf.hang_at_the_end, how)
    worker.send(signal.SIGKILL)
    wait_for(lambda: not is_alive(child), "it is gone")


@pytest.mark.usefixtures("_leisurely")
def test_children_leave_at_the_same_time(tmp_path: Path) -> None:
    with working(task_processes=3):
        task = shelf.meet_at_the_end.using(executor="process")
        for result in [task.enqueue(str(tmp_path), 3) for _ in range(3)]:
            wait_until(result, "successful")
    assert len([*(tmp_path / "at the end").iterdir()]) == 3


def test_a_worker_that_has_given_back_a_run_leaves_in_the_same_way(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker(**LEISURELY).wait_until_up()
    wait_until(shelf.leave_word.enqueue(str(tmp_path)), "successful")
    given_back = shelf.await_for_ever.enqueue()
    wait_until(given_back, "running")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    wait_until(given_back, "ready")
    assert words_in(tmp_path) == LAST_WORDS


def test_but_not_while_the_task_of_such_a_run_still_runs(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    """Its run may be another worker's by then."""
    worker = start_worker(**UNHURRIED).wait_until_up()
    wait_until(shelf.leave_word.enqueue(str(tmp_path)), "successful")
    given_back = tasks.wait_for_file.enqueue(str(tmp_path / "never"))
    wait_until(given_back, "running")
    worker.send(signal.SIGTERM)
    worker.wait_for_line("Shutting down: ")
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    wait_until(given_back, "ready")
    assert not words_in(tmp_path)
