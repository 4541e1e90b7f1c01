"""A schedule is where its runs are: the workers there fire it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import transaction

from taskworks.models import Firing, Schedule, TaskRun
from taskworks.schedules import cron, sync
from taskworks.schedules.firing import fire_now
from taskworks.schedules.migrations import AddSchedule
from taskworks.store import store
from taskworks.timetables.declared import declarations
from tests import tasks
from tests.behavior import run_worker
from tests.schedules.firing import fire_due, scheduled
from tests.shards.backends import SHARD, SHARDED
from tests.shards.several import counts

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", SHARD])

OF_BULK = {"backend": "bulk"}


@pytest.fixture(autouse=True)
def _no_other_declarations() -> Iterator[None]:
    before = {**declarations}
    declarations.clear()
    yield
    declarations.clear()
    declarations.update(before)


def labels(alias: str) -> list[str]:
    return [*Schedule.objects.using(alias).order_by("label").values_list("label", flat=True)]


def due(**fields: Any) -> Schedule:
    schedule = scheduled(tasks.noop, **fields)
    rows = Schedule.objects.using(schedule._state.db)
    before = store(schedule._state.db).read_clock() - timedelta(minutes=1)
    rows.update(next_run=before, due_at=before)
    return schedule


def test_is_saved_where_its_runs_are() -> None:
    scheduled(tasks.noop, label="here")
    scheduled(tasks.noop, label="there", options=OF_BULK)
    assert (labels("default"), labels(SHARD)) == (["here"], ["there"])


def test_is_fired_there_with_its_run_in_one_transaction() -> None:
    schedule = due(options=OF_BULK)
    assert fire_due(store()) == 0
    assert fire_due(store(SHARD)) == 1
    assert counts() == (0, 1)
    assert Firing.objects.using(SHARD).get().run == TaskRun.objects.using(SHARD).get().id
    fire_now(schedule)
    assert counts() == (0, 2)


def test_calls_what_it_names_with_its_row() -> None:
    schedule = scheduled("tests.schedules.bell.hear", options=OF_BULK)
    result = fire_now(schedule)
    run_worker("--backend", "bulk")
    assert result.wait(60).status == "SUCCESSFUL"


def test_is_not_stored_elsewhere() -> None:
    schedule = Schedule(label="lost", cron="@daily", options=OF_BULK)
    schedule.describe(tasks.noop)
    with pytest.raises(ValidationError, match=f"in the database '{SHARD}'.*be in 'default'"):
        schedule.save(using="default")
    assert labels("default") == labels(SHARD) == []


def test_does_not_move_but_can_be_disabled() -> None:
    schedule = scheduled(tasks.noop)
    schedule.options = OF_BULK
    with pytest.raises(ValidationError, match="Save a new one there"):
        schedule.save()
    schedule.enabled = False
    schedule.save()
    assert (labels("default"), labels(SHARD)) == (["bell"], [])


def test_one_whose_backend_has_moved_says_so(settings: Any) -> None:
    due(options=OF_BULK)
    settings.TASKS = {**SHARDED, "bulk": SHARDED["other"]}
    assert fire_due(store(SHARD)) == 1
    error = Schedule.objects.using(SHARD).get().error
    assert "would be in the database 'default', and it is in 'queue'" in error
    assert counts() == (0, 0)


def test_declared_ones_are_synchronized_where_they_belong() -> None:
    cron("@daily", label="here")(tasks.noop)
    cron("@daily", label="there", backend="bulk")(tasks.noop)
    run_worker()
    assert (labels("default"), labels(SHARD)) == (["here"], [])
    run_worker("--backend", "bulk")
    assert (labels("default"), labels(SHARD)) == (["here"], ["there"])


def test_migrate_synchronizes_those_of_its_database() -> None:
    cron("@daily", label="here")(tasks.noop)
    cron("@daily", label="there", backend="bulk")(tasks.noop)
    for alias in ("default", SHARD):
        call_command("migrate", "taskworks", database=alias, verbosity=0)
    assert (labels("default"), labels(SHARD)) == (["here"], ["there"])


def test_a_declaration_that_moves_is_withdrawn_where_it_was() -> None:
    cron("@daily", label="one")(tasks.noop)
    run_worker()
    declarations.clear()
    cron("@daily", label="one", backend="bulk")(tasks.noop)
    run_worker("--backend", "bulk")
    run_worker()
    assert not Schedule.objects.using("default").get().enabled
    assert Schedule.objects.using(SHARD).get().enabled
    assert sync.is_withdrawn(Schedule.objects.using("default").get())


def test_a_migration_adds_it_where_it_belongs() -> None:
    add = AddSchedule("added", "tests.tasks.noop", "@daily", options=OF_BULK)
    for alias in ("default", SHARD):
        with transaction.atomic(using=alias):
            add.add(Schedule._base_manager.using(alias).filter(label="added"))
    assert (labels("default"), labels(SHARD)) == ([], ["added"])
