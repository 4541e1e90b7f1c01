"""Rows as they are when something is wrong."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from taskworks.database.clock import DatabaseClock
from taskworks.models import TaskRun, Worker
from taskworks.problems import RULES, Problem, look, looking
from taskworks.store import Store
from taskworks.store import store as store_of
from tests import tasks
from tests.statistics.conftest import flushed  # noqa: F401 - a fixture

Register = Callable[..., Worker]
Enqueue = Callable[..., None]


@pytest.fixture(autouse=True)
def _database(transactional_db: None) -> None:
    """Every test here has committed rows, which other connections see."""


@pytest.fixture(autouse=True)
def _as_in_a_project(settings: Any) -> None:
    """A worker is silent after half a minute; the tests' settings say a second."""
    settings.TASKWORKS = {**settings.TASKWORKS, "WORKER_TIMEOUT": 30.0}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement may take its time where the machine is slow."""
    monkeypatch.setattr(looking, "READ_FOR", 60.0)


@pytest.fixture
def time_stands_still(_server_s_clock: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database's as well, so that sentences have the same numbers however slow the machine."""
    monkeypatch.setattr(DatabaseClock, "is_python_s", True)
    with time_machine.travel(datetime.now(UTC), tick=False):
        yield


@pytest.fixture
def store() -> Store:
    return store_of()


@pytest.fixture
def register(store: Store) -> Register:
    """``register(label, ago=0, started=0, **columns)``: a worker that was heard then."""

    def register(label: str = "w", ago: float = 0.0, started: float = 0.0, **columns: Any) -> Any:
        given = {"hostname": "here", "pid": 7, "slots": {"thread": 4, "async": 9}, **columns}
        worker = Worker(label=label, **given)
        store.register(worker)
        now = store.read_clock()
        Worker.objects.filter(id=worker.id).update(
            heartbeat_at=now - timedelta(seconds=ago), started_at=now - timedelta(seconds=started)
        )
        return Worker.objects.get(id=worker.id)

    return register


@pytest.fixture
def enqueue(store: Store) -> Enqueue:
    """``enqueue(number, queue, ago=60)``: runs that have been ready for so long."""

    def enqueue(
        number: int = 1, queue: str = "mail", ago: float = 60.0, task: Any = tasks.noop
    ) -> None:
        results = task.enqueue_many([()] * number)
        moment = store.read_clock() - timedelta(seconds=ago)
        ids = [result.id for result in results]
        TaskRun.objects.filter(id__in=ids).update(available_at=moment, queue_name=queue)

    return enqueue


def asked(*ids: str, thoroughly: bool = False) -> list[Problem]:
    """What these rules find."""
    rules = [rule for rule in RULES if rule.id in ids]
    assert rules
    findings = look(store_of(), rules=rules, thoroughly=thoroughly)
    assert findings.unknown == []
    return findings.problems


def the_one(*ids: str, thoroughly: bool = False) -> Problem:
    [problem] = asked(*ids, thoroughly=thoroughly)
    assert problem.id in ids
    return problem
