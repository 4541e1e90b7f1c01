"""A schedule is where its runs are: the workers there fire it."""

from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connections, transaction
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from taskworks.exceptions import InvalidTask
from taskworks.models import Firing, Schedule, TaskRun
from taskworks.schedules import (
    AddSchedule,
    ChangeSchedule,
    RemoveSchedule,
    cron,
    sync,
    taskinfo_with_label,
)
from taskworks.schedules.firing import fire_now
from taskworks.store import store
from taskworks.timetables.declared import declarations
from tests import tasks
from tests.behavior import run_worker
from tests.schedules.firing import fire_due, scheduled
from tests.settings import TASKS
from tests.shards.backends import SHARD, SHARDED
from tests.shards.several import counts

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", SHARD]),
    pytest.mark.usefixtures("no_other_declarations"),
]

OF_BULK = {"backend": "bulk"}


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


def test_does_not_move_out_of_a_shard() -> None:
    scheduled(tasks.noop, options=OF_BULK)
    schedule = Schedule.objects.using(SHARD).get()
    schedule.options = {}
    with pytest.raises(ValidationError, match=f"'default', and so it cannot be in '{SHARD}'"):
        schedule.save()
    assert Schedule.objects.using(SHARD).get().options == OF_BULK


def test_one_whose_backend_has_moved_says_so(settings: Any) -> None:
    due(options=OF_BULK)
    settings.TASKS = {**SHARDED, "bulk": SHARDED["other"]}
    assert fire_due(store(SHARD)) == 1
    error = Schedule.objects.using(SHARD).get().error
    assert "would be in the database 'default', and it is in 'queue'" in error
    with pytest.raises(InvalidTask, match="would be in the database 'default'"):
        fire_now(Schedule.objects.using(SHARD).get())
    assert counts() == (0, 0)


def test_is_found_by_its_label() -> None:
    scheduled(tasks.noop, label="there", options=OF_BULK)
    assert taskinfo_with_label("there")["func_path"] == "tests.tasks.noop"
    with pytest.raises(Schedule.DoesNotExist):
        taskinfo_with_label("nowhere")


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


def migrate(operation: Operation, alias: str) -> None:
    now = ProjectState.from_apps(apps)
    with connections[alias].schema_editor() as editor:
        operation.database_forwards("shop", editor, now, now)


ADD = AddSchedule("added", "tests.tasks.noop", "@daily", options=OF_BULK)
CHANGE = ChangeSchedule("added", before={"schedule": "@daily"}, after={"schedule": "@weekly"})
REMOVE = RemoveSchedule("added")


def test_a_migration_that_belongs_to_a_shard_says_so_elsewhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for operation in (ADD, CHANGE, REMOVE):
        caplog.clear()
        migrate(operation, "default")
        assert f"{operation.describe()}: the database 'default' is unchanged" in caplog.text
        assert f"manage.py migrate shop --database {SHARD}" in caplog.text
    caplog.clear()
    for operation, crons in ((ADD, ["@daily"]), (CHANGE, ["@weekly"]), (REMOVE, [])):
        migrate(operation, SHARD)
        assert [*Schedule.objects.using(SHARD).values_list("cron", flat=True)] == crons
    assert caplog.text == ""


def test_a_migration_of_a_project_without_shards_says_nothing(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TASKS = TASKS
    for operation in (CHANGE, REMOVE):
        migrate(operation, "default")
    assert caplog.text == ""
