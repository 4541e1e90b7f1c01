"""The code of the pages on schedules."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.state import ProjectState
from django.utils.module_loading import import_string

from taskworks.models import FAR_FUTURE, HAS_NOT_RUN, Schedule, TaskRun
from taskworks.schedules import sync
from taskworks.timetables.declared import declarations
from tests.docs.conftest import Capture, run, with_database, work
from tests.docs.pages import SNIPPETS, executes


@pytest.fixture(autouse=True)
def _no_declarations_stay() -> Iterator[None]:
    before = {**declarations}
    declarations.clear()
    yield
    declarations.clear()
    declarations.update(before)


@executes("shop/nightly.py")
@with_database
def test_tasks_are_scheduled_where_they_are_defined(capsys: Capture) -> None:
    for name in ("empty_carts", "look_for_orders", "send_digests"):
        import_string(f"shop.nightly.{name}")
    if not declarations:  # another test has imported it
        run_again("shop.nightly")
    sync.synchronize()
    rows = {row.label: row for row in Schedule.objects.all()}
    assert {label.rpartition(".")[2] for label in rows} == {
        "empty_carts",
        "send_digests",
        "look for orders, by day",
        "look for orders, at any time",
    }
    assert rows["shop.nightly.empty_carts"].timezone == "Europe/Berlin"
    assert rows["shop.nightly.send_digests"].options == {"queue_name": "mail", "timeout": 30}
    call_command("taskworks", "schedules", "look for orders, at any time", "--run-now")
    work()
    assert TaskRun.objects.get().return_value.startswith("slowly, for 20")
    capsys.readouterr()


def run_again(module: str) -> None:
    import importlib
    import sys

    importlib.reload(sys.modules[module])


@executes("shop/by_hand.py")
@with_database
def test_a_schedule_is_made_by_hand(capsys: Capture) -> None:
    run("shop/by_hand.py")
    assert capsys.readouterr().out == "Sun 00:00\n" * 3
    weekly, tomorrow = Schedule.objects.order_by("-label")
    assert (weekly.label, weekly.enabled) == ("empty old carts", False)
    assert (tomorrow.iterations, tomorrow.fired) == (1, 0)


@executes("shop/with_message.py", "shop/from_sisy.py")
@with_database
def test_schedules_are_moved_from_sisy(capsys: Capture) -> None:
    run("shop/from_sisy.py")
    assert capsys.readouterr().out == "1 3\nshop.with_message.count\n"
    work()
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "ordering ink",
        f"{Schedule.objects.get(iterations=3).label} True {{'count': 1}}",
    ]
    assert Schedule.objects.get(iterations=3).userdata == {"count": 1}


@executes("shop/schedule_migration.py")
@with_database
def test_a_migration_makes_schedules_and_undoes_it() -> None:
    operations = run("shop/schedule_migration.py")["Migration"].operations
    state = ProjectState.from_apps(apps)
    with connection.schema_editor() as editor:
        for operation in operations:
            operation.database_forwards("shop", editor, state, state)
    assert [(row.label, row.cron) for row in Schedule.objects.all()] == [("carts", "@weekly")]
    with connection.schema_editor() as editor:
        for operation in reversed(operations):
            operation.database_backwards("shop", editor, state, state)
    assert [row.label for row in Schedule.objects.all()] == ["digests"]


@executes("shop/move_sisy.py")
@with_database
def test_rows_of_sisy_are_moved() -> None:
    names: dict[str, Any] = {"__name__": "snippet"}
    source = (SNIPPETS / "shop/move_sisy.py").read_text()
    model, _, loop = source.partition("\nfor old in ")
    exec(compile(model, "move_sisy.py", "exec"), names)
    table = names["SisyTask"]
    with connection.schema_editor() as editor:
        editor.create_model(table)
    try:
        fill(table)
        exec(compile(f"for old in {loop}", "move_sisy.py", "exec"), names)
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(table)
    order, count = Schedule.objects.order_by("label")
    assert (order.kind, order.userdata, order.end_running) == (
        "class_method",
        {"item": "tea"},
        None,
    )
    assert (count.label, count.cron, count.timezone) == ("count (2)", "*/5 * * * *", "UTC")
    assert (count.overlap, count.iterations, count.start_running) == ("skip", 3, None)


def fill(table: Any) -> None:
    """As sisy would."""
    usual = {
        "schedule": "*/5 * * * *",
        "wait_for_schedule": True,
        "start_running": HAS_NOT_RUN,
        "end_running": FAR_FUTURE,
        "enabled": True,
    }
    module = "shop.with_message"
    by_class = {"func_type": "classmethod", "func_path": f"{module}.Stock.order"}
    function = {"func_type": "function", "func_path": f"{module}.count"}
    for label, info, userdata, overlaps, iterations in (
        ("a class's", by_class, {"item": "tea"}, True, 0),
        ("count", function, {}, False, 3),
    ):
        table.objects.create(
            label=label,
            func_info=json.dumps(info),
            extra_data=json.dumps(userdata),
            allow_overlap=overlaps,
            iterations=iterations,
            **usual,
        )
