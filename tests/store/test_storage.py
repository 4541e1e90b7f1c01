"""How PostgreSQL keeps the table of runs."""

import pytest
from django.apps import apps
from django.db import connection
from django.db.migrations.state import ProjectState

from taskworks.database.storage import OF_RUNS, SetStorage
from taskworks.models import TaskRun

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="Only PostgreSQL has such parameters."
)


def parameters() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [TaskRun._meta.db_table]
        )
        [(options,)] = cursor.fetchall()
    return dict(option.split("=") for option in options or [])


@on_postgresql
def test_the_migration_has_dead_rows_removed_early() -> None:
    assert parameters() == {name: str(value) for name, value in OF_RUNS.items()}


@on_postgresql
def test_the_operation_is_undone_and_done_again() -> None:
    operation = SetStorage("taskrun", OF_RUNS)
    state = ProjectState.from_apps(apps)
    with connection.schema_editor() as editor:
        operation.database_backwards("taskworks", editor, state, state)
    assert parameters() == {}
    with connection.schema_editor() as editor:
        operation.database_forwards("taskworks", editor, state, state)
    assert parameters() == {name: str(value) for name, value in OF_RUNS.items()}


@pytest.mark.skipif(connection.vendor == "postgresql", reason="PostgreSQL has such parameters.")
def test_other_databases_are_not_asked() -> None:
    operation = SetStorage("taskrun", OF_RUNS)
    state = ProjectState.from_apps(apps)
    with connection.schema_editor(collect_sql=True) as editor:
        operation.database_forwards("taskworks", editor, state, state)
        operation.database_backwards("taskworks", editor, state, state)
        assert editor.collected_sql == []
