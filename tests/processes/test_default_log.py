"""What a worker's process writes to standard error if its project has configured no log for it."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskworks import task
from taskworks.exceptions import TaskCancelled
from taskworks.framework import LOGGER_NAME
from taskworks.worker.default_log import log_by_default
from tests import tasks
from tests.processes import conftest

pytestmark = pytest.mark.django_db(transaction=True)


@task
def stop_here() -> None:
    raise TaskCancelled


def batch(*arguments: str, settings: Path | None = None) -> tuple[list[str], list[str]]:
    """The lines that a batch prints to standard output, and those to standard error."""
    environment = {**os.environ, **conftest.test_database()}
    if settings:
        environment["DJANGO_SETTINGS_MODULE"] = settings.stem
        environment["PYTHONPATH"] = f"{settings.parent}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, "manage.py", "taskworks", "worker", "--batch", *arguments],
        cwd=conftest.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


def records(lines: list[str]) -> list[str]:
    """The records without their times; the lines of a traceback do not begin with a time."""
    return [line[20:] for line in lines if line[:4].isdigit()]


def test_a_silent_worker_tells_of_its_life_and_of_what_failed() -> None:
    failed = tasks.fail.enqueue()
    failed_in_child = tasks.fail.using(executor="process").enqueue()
    cancelled, successful = stop_here.enqueue(), tasks.noop.enqueue()
    printed, logged = batch("--verbosity=0", "--worker-id=me")
    assert printed == []
    first, *between, last = records(logged)
    assert first == "INFO Worker me started; it takes runs from every queue."
    assert sorted(between) == sorted(
        [
            *(
                f"ERROR Task id={run.id} path=tests.tasks.fail state=FAILED"
                for run in (failed, failed_in_child)
            ),
            f"INFO Run {cancelled.id} of {stop_here.module_path}: cancelled.",
        ]
    )
    assert last == "INFO Worker me has stopped; runs given back: 0."
    assert logged.count("Traceback (most recent call last):") == 2
    assert successful.id not in "".join(logged)


def test_a_supervisor_and_its_workers_tell_once_each() -> None:
    failed = tasks.fail.enqueue()
    printed, logged = batch("--verbosity=0", "--processes=2", "--worker-id=me")
    assert printed == []
    told = [line.partition(" (pid")[0] for line in records(logged)]
    assert (told[0], told[-1]) == ("INFO The supervisor", "INFO The supervisor")
    assert sorted(told[1:-1]) == [
        f"ERROR Task id={failed.id} path=tests.tasks.fail state=FAILED",
        *["INFO Worker me has stopped; runs given back: 0."] * 2,
        *["INFO Worker me started; it takes runs from every queue."] * 2,
    ]


def test_a_worker_that_prints_logs_only_what_failed() -> None:
    failed, cancelled = tasks.fail.enqueue(), stop_here.enqueue()
    printed, logged = batch("--worker-id=me")
    assert printed[0].startswith("Worker me started;")
    assert any(f" cancelled {stop_here.module_path} {cancelled.id} " in line for line in printed)
    assert records(logged) == [f"ERROR Task id={failed.id} path=tests.tasks.fail state=FAILED"]


def test_a_project_gets_what_it_has_configured(tmp_path: Path) -> None:
    settings = tmp_path / "settings_with_a_log.py"
    settings.write_text(
        "from tests.settings import *\n"
        "LOGGING = {\n"
        "    'version': 1,\n"
        "    'handlers': {'file': {'class': 'logging.FileHandler', 'filename': LOG}},\n"
        "    'loggers': {'taskworks.runs': {'handlers': ['file'], 'level': 'INFO'}},\n"
        "}\n".replace("LOG}", f"{str(tmp_path / 'runs.log')!r}}}")
    )
    cancelled = stop_here.enqueue()
    assert batch("--verbosity=0", settings=settings) == ([], [])
    assert (tmp_path / "runs.log").read_text() == (
        f"Run {cancelled.id} of {stop_here.module_path}: cancelled.\n"
    )


@pytest.fixture
def log_as_a_new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """log_by_default(), without the handlers that pytest has at the root while a test runs."""
    names = ("taskworks", LOGGER_NAME)
    before = {name: [*logging.getLogger(name).handlers] for name in names}

    def log() -> bool:
        root = logging.getLogger()
        ours = [handler for handler in root.handlers if "pytest" not in type(handler).__module__]
        monkeypatch.setattr(root, "handlers", ours)
        return log_by_default()

    yield log
    for name, handlers in before.items():
        logging.getLogger(name).handlers = handlers


@pytest.mark.any_database
@pytest.mark.parametrize("name", ["", "taskworks", "taskworks.runs", "taskworks.x.y", LOGGER_NAME])
@pytest.mark.parametrize(
    ("setting", "value"), [("handlers", [logging.NullHandler()]), ("level", logging.ERROR)]
)
def test_whoever_configures_one_logger_of_ours_has_configured_them(
    monkeypatch: pytest.MonkeyPatch,
    log_as_a_new_process: Callable[[], bool],
    name: str,
    setting: str,
    value: object,
) -> None:
    monkeypatch.setattr(logging.getLogger(name), setting, value)
    assert not log_as_a_new_process()


@pytest.mark.any_database
def test_whoever_configures_other_loggers_has_not(
    monkeypatch: pytest.MonkeyPatch, log_as_a_new_process: Callable[[], bool]
) -> None:
    monkeypatch.setattr(logging.getLogger("shop"), "level", logging.INFO)
    assert log_as_a_new_process()
