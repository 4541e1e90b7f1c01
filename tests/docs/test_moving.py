"""The code of the pages on moving in from django-tasks-db and django-tasks-rq."""

import re

import pytest
from django.core.checks import run_checks
from django.utils.module_loading import import_string

from taskworks.management.move_command import DB, RQ
from taskworks.models import TaskRun
from tests.docs.conftest import Capture, Settings, only, run, with_database, work
from tests.docs.pages import DOCS, executes, reference

PAGES = [(DOCS / "howto" / f"coming-from-{package}.md").read_text() for package in (DB, RQ)]


@executes("shop/moving_from_db.py", "shop/moving_from_rq.py")
@pytest.mark.parametrize("snippet", ["shop/moving_from_db.py", "shop/moving_from_rq.py"])
@pytest.mark.any_database
@pytest.mark.django_db
def test_settings_are_valid(snippet: str, settings: Settings) -> None:
    settings.TASKS = run(snippet)["TASKS"]
    assert [message for message in run_checks() if message.id.startswith("taskworks.E")] == []


@executes("shop/reminders.py")
@with_database
def test_a_task_has_options(settings: Settings) -> None:
    settings.TASKS = run("shop/moving_from_db.py")["TASKS"]
    import_string("shop.reminders.remind").enqueue("ada@example.com")
    work()
    assert only("shop.reminders.remind").return_value == "attempt 1: a reminder to ada@example.com"


@executes("shop/job_id.py")
@pytest.mark.any_database
def test_the_id_of_a_job_leads_to_a_run(capsys: Capture) -> None:
    run("shop/job_id.py")
    [printed] = re.findall(r"^```text\n(.*-.*\n)```", PAGES[1], re.MULTILINE)
    assert capsys.readouterr().out == printed


@pytest.mark.any_database
def test_options_that_are_new_are_options_of_the_commands() -> None:
    known = set(re.findall(r"`(--[\w-]+)", "".join(map(reference, ("worker", "prune")))))
    for page in PAGES:
        rows = page.partition("\n## Options\n")[2].splitlines()
        ours = [row.rsplit("|", 2)[1] for row in rows if row.startswith("| ")]
        assert {name for cell in ours for name in re.findall(r"`(--[\w-]+)", cell)} <= known


@executes("shop/charging.py", "shop/charge_an_order.py")
@with_database
def test_tasks_of_celery(settings: Settings, capsys: Capture) -> None:
    run("shop/charge_an_order.py")
    page = (DOCS / "howto" / "coming-from-celery.md").read_text()
    [printed] = re.findall(r"^```text\n(.*)```", page, re.MULTILINE | re.DOTALL)
    assert capsys.readouterr().out == printed.partition("```")[0]
    work()
    assert sorted(TaskRun.objects.values_list("queue_name", "return_value")) == [
        ("default", "paid 00000000-0000-0000-0000-000000000007"),
        ("mail", None),
    ]


@executes("shop/canvas.py")
@with_database
def test_chains_of_celery() -> None:
    ids = import_string("shop.canvas.add_up")()
    work()
    assert [TaskRun.objects.get(id=one).return_value for one in ids] == [13, 6]
