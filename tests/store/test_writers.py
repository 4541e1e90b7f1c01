"""On SQLite, transactions of ours begin with the write lock, whatever ``transaction_mode`` is."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks.backends.database import DatabaseBackend
from taskworks.database.transactions import writing
from taskworks.endpoints.enqueuers import BackgroundEnqueuer
from taskworks.models import Schedule, TaskRun, UniqueKey
from taskworks.schedules import every, sync
from taskworks.schedules.firing import fire_now
from taskworks.store.enqueueing import Once
from taskworks.testing import run_tasks
from taskworks.timetables.declared import declarations
from tests import tasks
from tests.schedules import shelf
from tests.schedules.firing import scheduled
from tests.store.conftest import Enqueue

pytestmark = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="SQLite's write lock")
WRITES = ("INSERT", "UPDATE", "DELETE")


@pytest.fixture(autouse=True, params=[None, "DEFERRED"])
def _mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As ``startproject`` leaves it, and as somebody may have set it."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "transaction_mode", request.param)
    connection.close()
    yield
    connection.close()


@pytest.fixture
def _nothing_declared() -> Iterator[None]:
    before = {**declarations}
    declarations.clear()
    yield
    declarations.clear()
    declarations.update(before)


def write_elsewhere() -> None:
    """Write in another connection, which does not wait for the lock."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=0)) as other:
        other.execute("PRAGMA user_version = 7")


def test_one_that_has_read_may_write(enqueue: Enqueue) -> None:
    with writing("default"):
        assert not TaskRun.objects.exists()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            write_elsewhere()
        enqueue()
    assert TaskRun.objects.count() == 1


def test_one_of_the_project_s_own_may_not(enqueue: Enqueue) -> None:
    """Which shows that the test above can fail."""
    with transaction.atomic():
        assert not TaskRun.objects.exists()
        write_elsewhere()
        with pytest.raises(OperationalError, match="locked"):
            enqueue()


def test_the_project_s_own_transactions_stay_as_they_are(enqueue: Enqueue) -> None:
    with writing("default"):
        pass
    with CaptureQueriesContext(connection) as asked, transaction.atomic():
        enqueue()
    assert asked[0]["sql"] in ("BEGIN", "BEGIN DEFERRED")


def test_it_is_undone_as_any_other(enqueue: Enqueue) -> None:
    def enqueue_and_fail() -> None:
        with writing("default"):
            enqueue()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        enqueue_and_fail()
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError):
            enqueue_and_fail()
        enqueue()
    assert TaskRun.objects.count() == 1


def many() -> None:
    tasks.noop.enqueue_many([(number,) for number in range(3)])


def once() -> None:
    backend = tasks.noop.get_backend()
    assert isinstance(backend, DatabaseBackend)
    backend.enqueue_once(tasks.noop, [], {}, Once(uuid4(), "a request"))
    assert UniqueKey.objects.count() == 1


def after() -> None:
    backend = tasks.noop.get_backend()
    assert isinstance(backend, DatabaseBackend)
    backend.enqueue_after(tasks.noop, [], {}, tasks.noop.enqueue())
    run_tasks()


def of_an_endpoint() -> None:
    with BackgroundEnqueuer("default").all_or_none():
        tasks.noop.enqueue()


def fire() -> None:
    fire_now(scheduled())


def declare() -> None:
    every(hours=1)(shelf.add)
    sync.synchronize()
    declarations.clear()
    every(hours=2)(shelf.add)
    sync.synchronize()
    declarations.clear()
    sync.synchronize()


def once_by_a_schedule() -> None:
    Schedule.run_once(tasks.noop)


def transactional() -> None:
    tasks.noop.using(transactional=True, timeout=1).enqueue()
    run_tasks()


@pytest.mark.usefixtures("_nothing_declared")
@pytest.mark.parametrize(
    "do",
    [many, once, after, of_an_endpoint, fire, declare, once_by_a_schedule, transactional],
    ids=lambda do: do.__name__,
)
def test_each_of_ours_begins_so(do: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskworks.store.statements.MAX_ROWS_PER_STATEMENT", 2)
    with CaptureQueriesContext(connection) as asked:
        do()
    began = [*pairwise(query["sql"] for query in asked)]
    modes = {began_with for began_with, first in began if not is_safe(began_with, first)}
    assert not modes
    assert "BEGIN IMMEDIATE" in dict(began)


def is_safe(begin: str, first: str) -> bool:
    """Whether this is no transaction without the lock, or one of Django's that writes at once."""
    return begin not in ("BEGIN", "BEGIN DEFERRED") or first.startswith(WRITES)
