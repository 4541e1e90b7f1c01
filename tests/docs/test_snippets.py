"""Every block of Python in the documentation is a file, and every file is executed here."""

import json
import unittest
from contextlib import closing
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import ConnectionHandler
from django.test import RequestFactory
from django.utils.module_loading import import_string

from taskworks.conf import Conf
from taskworks.failures.grouping import group
from taskworks.health import views
from taskworks.models import TaskRun
from taskworks.options.objectives import objectives
from taskworks.signals import task_finished
from taskworks.statistics.gauges import sample
from taskworks.store import store
from tests.docs.conftest import Capture, Settings, only, run, with_database, work
from tests.docs.pages import SNIPPETS, Block, executed, executes, python_blocks, snippet_files


@pytest.mark.any_database
@pytest.mark.parametrize("block", python_blocks(), ids=str)
def test_a_block_is_the_whole_of_its_file(block: Block) -> None:
    assert block.snippet, "the line before must be <!-- snippet: FOLDER/FILE.py -->"
    assert block.text == (SNIPPETS / block.snippet).read_text()


@pytest.mark.any_database
def test_every_file_is_on_a_page_and_is_executed() -> None:
    for module in (
        "test_howto",
        "test_celery",
        "test_logging",
        "test_rest",
        "test_testing",
        "test_endpoints",
        "test_moving",
        "test_schedules",
        "test_client",
        "test_metrics",
        "test_traces",
        "test_rest",
        "test_typed",
        "test_dashboard",
    ):  # execute some, even if they are not run now
        import_module(f"tests.docs.{module}")
    assert {block.snippet for block in python_blocks()} == snippet_files()
    assert executed == snippet_files()


# README.md


@executes("readme/settings.py", "readme/tasks.py", "readme/use.py")
@with_database
def test_the_readme(settings: Settings, capsys: Capture) -> None:
    settings.TASKS = run("readme/settings.py")["TASKS"]
    Path("prices.csv").write_text("apple,1\n\npear,2\n")
    run("readme/use.py")
    assert capsys.readouterr().out == ""
    assert TaskRun.objects.scheduled().get().task_path == "readme.tasks.greet"
    import_string("readme.tasks.greet").enqueue("Ada")
    work()
    assert only("readme.tasks.import_prices").return_value == 2
    greeted = TaskRun.objects.successful().get(task_path="readme.tasks.greet")
    assert greeted.return_value == "Hello, Ada"


# The tutorial


@executes("shop/settings.py", "reference/backends.py", "readme/settings.py")
@pytest.mark.any_database
@pytest.mark.parametrize(
    "snippet", ["shop/settings.py", "reference/backends.py", "readme/settings.py"]
)
def test_settings_of_backends_pass_the_checks(settings: Settings, snippet: str) -> None:
    names = run(snippet)
    settings.TASKS = names["TASKS"]
    if "INSTALLED_APPS" in names:
        assert "taskworks" in names["INSTALLED_APPS"]
    assert [message for message in run_checks() if message.id.startswith("taskworks.")] == []


@executes("reference/shards.py")
@pytest.mark.any_database
def test_the_settings_of_shards_name_a_database_that_is_there() -> None:
    names = run("reference/shards.py")
    options = [entry.get("OPTIONS", {}) for entry in names["TASKS"].values()]
    [named] = [given["DATABASE"] for given in options if "DATABASE" in given]
    assert named in names["DATABASES"]


@executes("shop/sqlite.py")
@pytest.mark.any_database
@pytest.mark.django_db
def test_the_settings_of_sqlite_pass_its_check(tmp_path: Path) -> None:
    entry = run("shop/sqlite.py")["DATABASES"]["default"]
    handler = ConnectionHandler({"default": {**entry, "NAME": tmp_path / "db.sqlite3"}})
    with closing(handler["default"]) as connection:
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.transaction_mode == "IMMEDIATE"


@executes("shop/tasks.py", "shop/enqueue.py")
@with_database
@pytest.mark.usefixtures("sleeping_works")
def test_a_task_is_enqueued_and_its_result_read_back(capsys: Capture) -> None:
    run("shop/enqueue.py")
    run_id = only("shop.tasks.count_words").id
    assert capsys.readouterr().out == f"{run_id} READY\nSUCCESSFUL 6\n"


@executes("shop/payments.py", "shop/pay.py")
@with_database
@pytest.mark.usefixtures("sleeping_works")
def test_a_task_that_raises_has_failed(capsys: Capture) -> None:
    run("shop/pay.py")
    first, second, *traceback = capsys.readouterr().out.splitlines()
    assert (first, second) == ("FAILED", "builtins.ValueError")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-2] == "ValueError: order 7 has no card"


@executes("shop/orders.py")
@with_database
def test_a_transaction_that_is_rolled_back_leaves_no_run() -> None:
    place_order = run("shop/orders.py")["place_order"]
    with pytest.raises(ValueError, match="an order needs a note"):
        place_order("")
    assert not TaskRun.objects.exists()
    place_order("two words")
    work()
    assert only("shop.tasks.count_words").return_value == 2


@executes("shop/options.py")
@with_database
def test_options_change_a_copy() -> None:
    run("shop/options.py")
    before, mail, later = TaskRun.objects.order_by("enqueued_at")
    assert (before.priority, mail.queue_name, later.state) == (50, "mail", "scheduled")
    assert later.run_after - later.enqueued_at == timedelta(minutes=10)
    work()
    assert TaskRun.objects.successful().count() == 2


@executes("shop/fetching.py", "shop/views.py")
@with_database
def test_views_may_be_asynchronous() -> None:
    names = run("shop/views.py")
    request = RequestFactory().get("/")
    result_id = json.loads(async_to_sync(names["start"])(request).content)["id"]
    work()
    answer = json.loads(async_to_sync(names["look"])(request, result_id).content)
    assert answer == {"status": "SUCCESSFUL", "attempts": 1}


@executes("shop/context.py")
@with_database
def test_a_context_tells_of_the_attempt() -> None:
    result = import_string("shop.context.introduce").enqueue("Ada")
    work()
    result.refresh()
    assert result.return_value == f"Ada, attempt 1 of run {result.id}"


# The reference


@executes("reference/arguments.py")
@with_database
def test_an_argument_that_is_no_json_is_refused(capsys: Capture) -> None:
    run("reference/arguments.py")
    assert capsys.readouterr().out.startswith(
        "Unsupported type: <class 'datetime.datetime'> at args[0]['orders'][0]. Arguments and"
    )


@executes("reference/results.py")
@with_database
def test_a_result_is_had_again_by_its_id(capsys: Capture) -> None:
    run("reference/results.py")
    assert capsys.readouterr().out == "It waits.\ncount_words\n"


@executes("reference/test_shop.py")
@pytest.mark.any_database
def test_a_test_of_the_readers_own_passes() -> None:
    case = run("reference/test_shop.py")["CountWordsTests"]
    outcome = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(outcome)
    assert (outcome.testsRun, outcome.errors, outcome.failures) == (3, [], [])


@executes("reference/settings.py")
@pytest.mark.any_database
def test_the_settings_shown_are_the_defaults() -> None:
    shown = run("reference/settings.py")["TASKWORKS"]
    assert Conf(**{key.lower(): value for key, value in shown.items()}) == Conf()
    assert len(shown) == len(Conf.__dataclass_fields__)


@executes("reference/record.py")
@with_database
def test_the_record_is_read_with_querysets(capsys: Capture) -> None:
    result = import_string("shop.payments.charge").enqueue(7)
    work()
    run("reference/record.py")
    assert capsys.readouterr().out.splitlines() == [
        "failed 1",
        f"shop.payments.charge {result.id} (failed) builtins.ValueError",
    ]


@executes("reference/failures.py")
@with_database
def test_failures_are_retried_as_a_group(capsys: Capture) -> None:
    charge = import_string("shop.payments.charge")
    for order in (7, 8):
        charge.enqueue(order)
    work()
    assert group(store()) == 2
    run("reference/failures.py")
    assert capsys.readouterr().out == "shop.payments.charge 2 2\n"
    assert TaskRun.objects.ready().count() == 2


@executes("reference/acting.py")
@with_database
def test_runs_are_acted_on_by_a_filter(capsys: Capture) -> None:
    charge = import_string("shop.payments.charge")
    for order in (7, 8):
        charge.enqueue(order)
    work()
    done = run("reference/acting.py")
    assert capsys.readouterr().out.splitlines() == [
        "2 runs {'builtins.ValueError': 2}",
        "2 0 ",
    ]
    work()
    done["result"].refresh()
    assert done["result"].return_value["done"] == 0


@executes("reference/statistics.py")
@with_database
def test_statistics_are_read(capsys: Capture) -> None:
    import_string("shop.payments.charge").enqueue(7)
    work()
    run("reference/statistics.py")
    [line] = capsys.readouterr().out.splitlines()
    path, successful, failed, p95 = line.split()
    assert (path, successful, failed) == ("shop.payments.charge", "0", "1")
    assert 0 < float(p95) < 60


@executes("reference/problems.py")
@with_database
def test_what_is_wrong_is_told(capsys: Capture) -> None:
    run("reference/problems.py")
    assert capsys.readouterr().out == ""
    import_string("shop.payments.charge").enqueue(7)
    TaskRun.objects.update(available_at=store().read_clock() - timedelta(minutes=3))
    run("reference/problems.py")
    assert "critical queue_without_worker No living worker takes" in capsys.readouterr().out


@executes("reference/objectives.py", "reference/attainment.py")
@with_database
def test_objectives_are_settings(settings: Any, capsys: Capture) -> None:
    settings.TASKS = run("reference/objectives.py")["TASKS"]
    found = objectives()
    assert {name: one.share for (_, name), one in found.items()} == {"mail": 0.99, "reports": 0.99}
    call_command("check")
    capsys.readouterr()
    run("reference/attainment.py")
    assert capsys.readouterr().out.splitlines()[0] == "mail 1:00:00 None None"


@executes("reference/gauges.py")
@with_database
def test_gauges_are_read(capsys: Capture) -> None:
    sample(store())
    run("reference/gauges.py")
    assert capsys.readouterr().out.strip().endswith("0.0 None 0.0 0.0")


@executes("shop/urls_with_health.py")
@with_database
def test_a_view_says_whether_runs_are_executed(client: Any, settings: Any) -> None:
    settings.ROOT_URLCONF = "shop.urls_with_health"
    run("shop/urls_with_health.py")
    views._answers.clear()
    answer = client.get("/health/?verbose")
    assert (answer.status_code, answer.json()["healthy"]) == (200, True)


@executes("reference/schedules.py")
@with_database
def test_schedules_are_rows(capsys: Capture) -> None:
    run("reference/schedules.py")
    assert capsys.readouterr().out.splitlines() == ["At 02:30 every day", "True"]


@executes("reference/signals.py")
@with_database
def test_a_receiver_is_told_of_a_failure(capsys: Capture) -> None:
    receive = run("reference/signals.py")["say_what_failed"]
    try:
        import_string("shop.payments.charge").enqueue(7)
        import_string("shop.tasks.count_words").enqueue("one")
        work()
    finally:
        task_finished.disconnect(receive)
    assert capsys.readouterr().out == "charge builtins.ValueError\n"


@executes("reference/exceptions.py")
@with_database
def test_exceptions_are_sentences(capsys: Capture) -> None:
    run("reference/exceptions.py")
    assert capsys.readouterr().out.splitlines() == [
        "Queue 'nowhere' is not valid for backend.",
        "No run has the id nothing",
    ]
