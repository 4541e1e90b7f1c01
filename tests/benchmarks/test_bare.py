"""Recorded statements of the store, sent again by the benchmark, must work on other runs."""

import pytest
from django.db import connection

from benchmarks import bare, growth
from benchmarks.place import Place
from benchmarks.systems.taskworks import Taskworks
from taskworks.models import RunState, TaskRun
from tests import tasks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def system() -> Taskworks:
    """Return the system as in its producer, but on the database of the tests."""
    system = Taskworks(Place(system="taskworks", store=connection.vendor, files=""))
    system.noop = tasks.noop
    return system


@pytest.fixture
def driver() -> bare.Driver:
    return bare.Driver()


def test_the_recorded_claim_and_finish_work_on_other_runs(
    system: Taskworks, driver: bare.Driver
) -> None:
    claim, finish = bare.verbs(system)
    system.fill(2 * bare.BATCH)
    for _ in range(2):
        claimed = claim.send(driver)
        assert len({*claimed}) == bare.BATCH
        finish.send(driver, claimed)
    assert claim.send(driver) == []
    assert TaskRun.objects.successful().count() == 3 * bare.BATCH


def test_a_claim_within_a_transaction_can_be_taken_back(
    system: Taskworks, driver: bare.Driver
) -> None:
    claim, _ = bare.verbs(system)
    system.fill(bare.BATCH)
    driver.begin()
    assert len(claim.send(driver, within=True)) == bare.BATCH
    driver.roll_back()
    assert TaskRun.objects.ready().count() == bare.BATCH


@pytest.mark.parametrize("size", [1, 3_000])
def test_the_recorded_inserts_insert_other_runs(
    system: Taskworks, driver: bare.Driver, size: int
) -> None:
    insert = bare.insertion(system, size)
    for _ in range(2):
        insert.send(driver, insert.fresh_ids())
    assert TaskRun.objects.ready().count() == 2 * size


def test_a_table_grows_and_shrinks_again(
    system: Taskworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "ROWS_PER_STATEMENT", 30)
    monkeypatch.setattr(growth.databases, "settle", lambda place: None)
    growth.fill(system, 50, 40)
    system.fill(10)
    states = TaskRun.objects.values_list("state", flat=True)
    assert [*states].count(RunState.SUCCESSFUL) == 50
    assert [*states].count(RunState.SCHEDULED) == 40
    growth.forget_backlog(system)
    assert TaskRun.objects.count() == 90
