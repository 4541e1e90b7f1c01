"""The code of the pages on runs that are retried, limited, cancelled, watched, and enqueued."""

import io
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from email.message import Message
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import RequestFactory
from django.utils import timezone
from django.utils.module_loading import import_string

from taskworks.actions import limits
from taskworks.backends.database import DatabaseBackend
from taskworks.conf import conf
from taskworks.control import pause, pauses, why_waiting
from taskworks.models import Limit, TaskRun, Workflow
from taskworks.signals import (
    announce,
    announce_lost,
    task_cancelled,
    task_rescued,
    task_retried,
)
from taskworks.testing import clock, run_tasks
from tests.docs.conftest import Capture, Settings, make_due, only, run, with_database, work
from tests.docs.pages import DOCS, executes
from tests.waiting import wait_for

sleeping_works = pytest.mark.usefixtures("sleeping_works")
works_beside = pytest.mark.usefixtures("works_beside")
Answers = Callable[..., None]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What the network gives to a module: bytes, or an exception that is raised."""

    def give(module: str, *given: Any) -> None:
        left = list(given)

        def urlopen(url: str, timeout: float) -> io.BytesIO:
            answer = left.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return io.BytesIO(answer)

        monkeypatch.setattr(urllib.request, "urlopen", urlopen)
        monkeypatch.setattr(f"{module}.urlopen", urlopen)

    return give


def http_error(code: int, **headers: str) -> HTTPError:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return HTTPError("https://carrier.example.com/7", code, "no", message, None)


# Retry


@executes("shop/salutation.py")
@with_database
def test_a_function_gives_its_place_to_others() -> None:
    user = User.objects.create(username="Ada")
    import_string("shop.salutation.find_salutation").enqueue(user.id)
    work()
    assert only("shop.salutation.find_salutation").return_value == "Dear Ada"
    user.refresh_from_db()
    assert user.first_name == "Dear Ada"


@executes("shop/rates.py", "shop/fetch.py")
@with_database
@sleeping_works
def test_a_task_is_attempted_until_it_succeeds(answers: Answers, capsys: Capture) -> None:
    answers("shop.rates", URLError("no route"), URLError("no route"), b"0.93")
    run("shop/fetch.py")
    assert capsys.readouterr().out.splitlines() == [
        "SUCCESSFUL 0.93 3",
        "urllib.error.URLError",
        "urllib.error.URLError",
    ]


@executes("shop/carrier.py")
@with_database
def test_a_task_says_itself_when_it_comes_back(answers: Answers) -> None:
    too_early, busy, unknown = 425, 429, 404
    result = import_string("shop.carrier.book_parcel").enqueue(7)
    answers(
        "shop.carrier",
        http_error(too_early),
        http_error(busy, Retry_After="120"),
        http_error(unknown),
    )
    for waits, attempts, failures in ((3600, 0, 0), (120, 1, 1)):
        before = timezone.now()
        work()
        waiting = only("shop.carrier.book_parcel")
        assert (waiting.state, waiting.attempts, waiting.failures) == (
            "scheduled",
            attempts,
            failures,
        )
        assert (
            timedelta(0)
            <= waiting.available_at - before - timedelta(seconds=waits)
            < (timedelta(seconds=30))
        )
        make_due()
    work()
    result.refresh()
    assert [error.exception_class_path for error in result.errors] == [
        "taskworks.retry.Retry",
        "urllib.error.HTTPError",
    ]
    assert (result.status, result.attempts) == ("FAILED", 2)


@executes("shop/backoff.py")
@with_database
def test_a_function_says_how_long_to_wait() -> None:
    count_lines = import_string("shop.backoff.count_lines")
    result = count_lines.enqueue("orders.txt")
    for attempt in (1, 2):
        before = timezone.now()
        work()
        waited = only("shop.backoff.count_lines").available_at - before
        assert timedelta(minutes=attempt) <= waited < timedelta(minutes=attempt, seconds=30)
        make_due()
    Path("orders.txt").write_text("one\ntwo\n")
    work()
    result.refresh()
    assert (result.return_value, result.attempts) == (2, 3)
    assert import_string("shop.backoff.patience")(PermissionError(), result) is None


@executes("shop/again.py")
@with_database
@sleeping_works
def test_a_person_has_a_run_retried(capsys: Capture) -> None:
    run("shop/again.py")
    assert capsys.readouterr().out == "FAILED 1\nREADY 1\nFAILED 2\n"


@executes("reference/retry.py")
@pytest.mark.any_database
def test_a_backoff_grows(capsys: Capture) -> None:
    run("reference/retry.py")
    assert capsys.readouterr().out == "[10.0, 20.0, 40.0, 60.0, 60.0]\n"


# Limits


@executes("shop/limits.py", "shop/too_long.py")
@with_database
@sleeping_works
def test_a_task_that_takes_too_long_is_stopped(capsys: Capture) -> None:
    run("shop/too_long.py")
    assert capsys.readouterr().out == "FAILED taskworks.exceptions.TaskTimeout\n"


@with_database
def test_a_run_that_waited_too_long_is_not_executed() -> None:
    result = import_string("shop.limits.say_good_morning").enqueue("Ada")
    waiting = only("shop.limits.say_good_morning")
    assert waiting.expires_at - waiting.enqueued_at == timedelta(minutes=5)
    TaskRun.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    work()
    result.refresh()
    assert result.errors[0].exception_class_path == "taskworks.exceptions.TaskExpired"
    assert (result.status, result.attempts) == ("FAILED", 0)


@executes("shop/tidy.py")
@with_database
def test_a_task_ends_before_its_time_is_over(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.tmp").touch()
    tidy = import_string("shop.tidy.tidy")
    hurried, patient = tidy.using(timeout=4), tidy
    for task, deleted in ((hurried, 0), (patient, 3)):
        result = task.enqueue(str(tmp_path))
        work()
        result.refresh()
        assert result.return_value == deleted


# Cancel


@executes("shop/exports.py", "shop/cancel.py")
@with_database
@works_beside
def test_a_run_is_cancelled(capsys: Capture) -> None:
    run("shop/cancel.py")
    assert capsys.readouterr().out == "True\nFAILED True taskworks.exceptions.TaskCancelled\n"
    assert [*Path().glob("orders*")] == []


@executes("shop/stop.py")
@with_database
def test_a_view_cancels_a_run() -> None:
    result = import_string("shop.tasks.count_words").enqueue("one")
    stop, request = run("shop/stop.py")["stop"], RequestFactory().post("/")
    assert json.loads(stop(request, result.id).content) == {"cancelled": True}
    assert json.loads(stop(request, result.id).content) == {"cancelled": False}
    assert only("shop.tasks.count_words").state == "cancelled"


@executes("reference/receivers.py")
@with_database
def test_receivers_are_told_of_retries_and_cancellations(capsys: Capture) -> None:
    names = run("reference/receivers.py")
    try:
        import_string("shop.payments.charge").using(max_attempts=2, backoff=60).enqueue(7)
        work()
        import_string("shop.tasks.count_words").enqueue("one").cancel()
    finally:
        task_retried.disconnect(names["say_when"])
        task_cancelled.disconnect(names["say_who"])
    assert capsys.readouterr().out == "charge again in 0:01:00\ncount_words was cancelled\n"


# Unique runs


@executes("shop/customers.py")
@executes("shop/sync_customers.py")
@with_database
def test_a_customer_has_one_run(capsys: Capture) -> None:
    run("shop/sync_customers.py")
    assert capsys.readouterr().out == "True False True\nTrue\n"


@executes("shop/refuse_second.py")
@with_database
def test_a_second_one_is_refused(capsys: Capture) -> None:
    run("shop/refuse_second.py")
    assert capsys.readouterr().out == "[7]\n"


@executes("shop/search.py")
@executes("shop/edit.py")
@with_database
def test_the_last_of_many_changes_counts(capsys: Capture) -> None:
    with clock() as moved:
        run("shop/edit.py")
        assert not run_tasks()
        moved.advance(seconds=30)
        run_tasks()
    assert capsys.readouterr().out == "document 12 has version 3\n"


# Pause, clear and drain a queue


@executes("shop/pause_mail.py")
@with_database
def test_a_queue_is_paused_and_resumed(capsys: Capture) -> None:
    run("shop/pause_mail.py")
    assert capsys.readouterr().out == "mail anna The provider is down.\nTrue False\n"


@executes("shop/pause_task.py")
@with_database
def test_a_task_and_a_key_are_paused_and_resumed(capsys: Capture) -> None:
    import_string("shop.tenant_imports.import_file")
    run("shop/pause_task.py")
    of_key, of_task = capsys.readouterr().out.splitlines()
    assert of_key == "The key 'acme' of the limit 'imports' is paused: They have not paid."
    assert of_task.startswith("The task 'shop.newsletter.write_to' is paused until 2")
    assert of_task.endswith(" by anna: It writes nonsense.")
    assert pauses() == []


@executes("shop/tenant_imports.py", "shop/limit_settings.py")
@with_database
def test_imports_of_tenants_take_turns(capsys: Capture, settings: Settings) -> None:
    import_file = import_string("shop.tenant_imports.import_file")
    import_archive = import_string("shop.tenant_imports.import_archive")
    settings.TASKWORKS = run("shop/limit_settings.py")["TASKWORKS"]  # which says the same
    import_file.enqueue_many([["acme", f"{number}"] for number in range(30)])
    import_file.enqueue_many([["globex", f"{number}"] for number in range(3)])
    import_archive.enqueue("zip", tenant="initech")
    work()
    assert not TaskRun.objects.exclude(state="successful").exists()
    first = capsys.readouterr().out.splitlines()[:12]
    assert {"globex: 0", "globex: 1", "globex: 2", "initech: all of zip"} <= {*first}


@executes("shop/change_limit.py")
@with_database
def test_the_numbers_of_a_limit_are_changed(capsys: Capture) -> None:
    import_string("shop.tenant_imports.import_file")
    limits.synchronize()
    run("shop/change_limit.py")
    assert capsys.readouterr().out == "3 None\n"


@executes("shop/geocoder.py")
@with_database
def test_a_key_is_held_that_another_side_has_closed(answers: Answers) -> None:
    geocode = import_string("shop.geocoder.geocode")
    busy = 429
    answers("shop.geocoder", http_error(busy, Retry_After="120"), b"here", b"there")
    geocode.enqueue_many([["acme", 1], ["acme", 2]])
    with clock() as moved:
        run_tasks()
        states = TaskRun.objects.order_by("id").values_list("state", "attempts")
        assert [*states.all()] == [("scheduled", 0), ("ready", 0)]
        for _ in range(2):  # the total rate lets one begin after the other
            moved.advance(seconds=121)
            run_tasks()
        assert [*states.all()] == [("successful", 1), ("successful", 1)]


@executes("shop/change_rate.py", "shop/rate_settings.py")
@with_database
def test_a_rate_is_changed(capsys: Capture, settings: Settings) -> None:
    import_string("shop.geocoder.geocode")
    settings.TASKWORKS = run("shop/rate_settings.py")["TASKWORKS"]
    limits.synchronize()
    run("shop/change_rate.py")
    assert capsys.readouterr().out == "200/m None\n"
    assert {"mailer", "reports"} <= {*Limit.objects.values_list("name", flat=True)}


@executes("shop/switch_provider.py")
@with_database
def test_something_is_done_while_nothing_of_a_queue_runs(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run("shop/switch_provider.py")
    names["switch_provider"]()
    assert capsys.readouterr().out == "moved\n"
    assert pauses() == []
    import_string("shop.newsletter.write_to").enqueue("Ada")
    TaskRun.objects.update(state="running")
    monkeypatch.setitem(
        names, "pause", lambda queue, **given: pause(queue, **given | {"timeout": 0})
    )
    with pytest.raises(TimeoutError, match="'mail'"):
        names["switch_provider"]()
    assert [paused.reason for paused in pauses()] == ["The provider is changed."]


@executes("shop/empty_queue.py")
@with_database
def test_a_queue_is_cleared_and_drained(capsys: Capture) -> None:
    import_string("shop.newsletter.write_to").enqueue("Ada")
    run("shop/empty_queue.py")
    assert capsys.readouterr().out == "1\n"


# Progress


@executes("shop/imports.py", "shop/progress.py")
@with_database
def test_a_view_shows_progress() -> None:
    Path("orders.txt").write_text("one\n\nthree\n")
    result = import_string("shop.imports.import_orders").enqueue("orders.txt")
    view = run("shop/progress.py")["progress"]
    request = RequestFactory().get("/")
    before = json.loads(view(request, result.id).content)
    assert before == {"status": "READY", "progress": None, "target": None, "messages": []}
    work()
    assert json.loads(view(request, result.id).content) == {
        "status": "SUCCESSFUL",
        "progress": 3,
        "target": 3,
        "messages": ["warning: Line 2 is empty."],
    }


@executes("shop/stock.py")
@with_database
def test_a_function_further_down_finds_the_context() -> None:
    assert import_string("shop.stock.count_stock").call(2) == 30
    result = import_string("shop.stock.count_stock").enqueue(2)
    work()
    result.refresh()
    assert result.return_value == 30
    assert [message.text for message in result.messages] == [
        "Counting shelf 1.",
        "Counting shelf 2.",
    ]


@executes("shop/resume.py")
@with_database
def test_metadata_lasts_from_attempt_to_attempt() -> None:
    Path("prices.txt").write_text("1.5\n2.5\nthree\n4\n")
    result = import_string("shop.resume.import_prices").enqueue("prices.txt")
    work()
    assert only("shop.resume.import_prices").metadata == {"lines": 2}
    Path("prices.txt").write_text("not read again\n2.5\n3\n4\n")
    make_due()
    work()
    result.refresh()
    assert (result.return_value, result.attempts) == (4, 2)


@executes("reference/context.py")
@with_database
def test_a_context_has_it_all() -> None:
    result = import_string("reference.context.report").enqueue(3)
    work()
    result.refresh()
    assert result.return_value == "attempt 1, 60 s left"
    assert (result.progress, result.target, result.metadata) == (3, 3, {"steps": 3})
    assert [(message.level, message.text) for message in result.messages] == [("info", "Done.")]


# Child processes


@executes("shop/primes.py", "shop/crash.py", "shop/work_apart.py")
@with_database
@sleeping_works
def test_a_child_process_may_crash(capsys: Capture) -> None:
    run("shop/work_apart.py")
    assert capsys.readouterr().out.splitlines() == [
        "1229",
        "taskworks.exceptions.TaskCrashed: Its process ended with exit code 7.",
        "",
    ]


# Enqueue


@executes("shop/newsletter.py", "shop/send.py")
@with_database
@sleeping_works
def test_many_are_enqueued_at_once(capsys: Capture) -> None:
    run("shop/send.py")
    assert capsys.readouterr().out == "Dear Ada\nCher Blaise\nDear Charles\n"


@executes("shop/invoices.py")
@with_database
def test_a_run_is_stored_on_commit() -> None:
    write_invoice = run("shop/invoices.py")["write_invoice"]
    with pytest.raises(ValueError, match="an invoice needs a note"):
        write_invoice("")
    assert not TaskRun.objects.exists()
    assert write_invoice("two words") == str(only("shop.tasks.count_words").id)


@executes("reference/waiting.py")
@with_database
@sleeping_works
def test_results_are_waited_for(capsys: Capture) -> None:
    run("reference/waiting.py")
    assert capsys.readouterr().out == "3\n[1, 2]\n"


@executes("shop/accounts.py", "shop/close.py", "reference/deaths.py")
@with_database
@works_beside
def test_an_account_is_closed_once(capsys: Capture) -> None:
    run("shop/close.py")
    assert capsys.readouterr().out == "SUCCESSFUL 1\n"
    wait_for(lambda: only("shop.accounts.say_goodbye").state == "successful", "the letter is sent")
    run_of_the_letter = only("shop.accounts.say_goodbye")
    assert run_of_the_letter.at_most_once
    deaths = run("reference/deaths.py")
    announce(task_rescued, DatabaseBackend, run_of_the_letter.to_result)
    announce_lost(DatabaseBackend, run_of_the_letter.to_result)
    assert capsys.readouterr().out.splitlines() == [
        "say_goodbye is executed again",
        "say_goodbye has to be looked at",
    ]
    assert deaths["say_what_is_lost"]


# Options


@executes("shop/defaults.py", "shop/in_force.py")
@pytest.mark.any_database
@pytest.mark.django_db
def test_settings_have_defaults(settings: Settings, capsys: Capture) -> None:
    settings.TASKS = run("shop/defaults.py")["TASKS"]
    run("shop/in_force.py")
    assert capsys.readouterr().out == "count_words 300.0 3\nwrite_to 30.0 10\nfetch_rate 300.0 5\n"
    assert [message for message in run_checks() if message.id.startswith("taskworks.E")] == []


@executes("shop/retention.py")
@with_database
def test_settings_say_how_long_runs_are_kept(settings: Settings, capsys: Capture) -> None:
    settings.TASKS = run("shop/retention.py")["TASKS"]
    assert [message for message in run_checks() if message.id.startswith("taskworks.E")] == []
    past = timezone.now() - timedelta(days=59)
    states = {"successful": ["mail", "audit", "default"], "failed": ["mail"], "cancelled": ["mail"]}
    for state, queues in states.items():
        for queue in queues:
            TaskRun.objects.create(
                queue_name=queue,
                backend="default",
                state=state,
                enqueued_at=past,
                available_at=past,
                finished_at=past,
            )
    call_command("taskworks", "prune", "--dry-run")
    assert capsys.readouterr().out == "Would delete 3 task runs.\n"


@executes("reference/invalid.py")
@pytest.mark.any_database
def test_an_option_that_is_not_valid_is_refused(capsys: Capture) -> None:
    run("reference/invalid.py")
    assert capsys.readouterr().out.splitlines() == [
        "max_attempts must be an integer from 1 to 2147483647, not 0.",
        "timeout must be seconds or a timedelta, from 0 to ten years, not -1.",
        "executor='async' does not fit 'count_words', which is not a coroutine function: use "
        "'thread' or 'process'.",
    ]


# Tenants


@executes("shop/tenants.py")
@with_database
def test_a_task_enters_the_schema_that_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """django-tenants stands for itself elsewhere: it needs settings of its own and PostgreSQL."""
    entered: list[str] = []
    package: Any = ModuleType("django_tenants")
    utils: Any = ModuleType("django_tenants.utils")
    utils.schema_context = lambda name: nullcontext(entered.append(name))
    monkeypatch.setitem(sys.modules, "django_tenants", package)
    monkeypatch.setitem(sys.modules, "django_tenants.utils", utils)
    import_string("shop.tenants.count_users").enqueue("acme")
    work()
    assert (only("shop.tenants.count_users").return_value, entered) == (0, ["acme"])


# Workflows


@executes("shop/sales.py", "shop/watch_report.py")
@with_database
@works_beside
def test_several_tasks_have_one_result(capsys: Capture) -> None:
    run("shop/watch_report.py")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "successful {'successful': 5} 1100"
    assert "running" in lines


@executes("shop/retry_report.py")
@with_database
def test_a_workflow_is_retried(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    sales = import_string("shop.sales.enqueue_report").__globals__
    result = sales["enqueue_report"]("2026-11-29", ["Berlin"])
    monkeypatch.setitem(sales, "sum", lambda values: 1 / 0)
    work()
    result.refresh()
    assert result.status == "failed"
    monkeypatch.undo()
    retry_report = import_string("shop.retry_report.retry_report")
    assert retry_report(result.id) == 1
    assert retry_report(result.id) == 0
    work()
    result.refresh()
    assert (result.status, result.result("report")) == ("successful", 600)
    assert import_string("shop.retry_report.write_report_again")(result.id) == 2
    work()
    assert capsys.readouterr().out.count("Deleted the files") == 2


@executes("shop/chained.py")
@with_database
def test_a_chain(capsys: Capture) -> None:
    run("shop/chained.py")
    work()
    assert capsys.readouterr().out.splitlines() == [
        "['download', 'tidy_up']",
        "Downloaded the sales of 2026-11-29.",
        "Deleted the files of 2026-11-29.",
    ]


@executes("shop/mailing.py")
@with_database
def test_a_batch_has_one_callback(capsys: Capture) -> None:
    result = import_string("shop.mailing.send_to")(["ada@example.com", "bob@example.com"])
    work()
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "All mails are sent.",
        "To ada@example.com",
        "To bob@example.com",
    ]
    result.refresh()
    assert result.status == "successful"


@executes("shop/crawl.py")
@with_database
def test_a_workflow_grows(capsys: Capture) -> None:
    import_string("shop.crawl.crawl_site")()
    work()
    assert sorted(capsys.readouterr().out.splitlines()) == ["Read /", "Read /a", "Read /b"]


@executes("shop/anthology.py", "shop/read_anthology.py", "shop/broken_anthology.py")
@with_database
@works_beside
def test_the_tutorial_of_workflows(capsys: Capture) -> None:
    page = (DOCS / "tutorial-workflow.md").read_text()
    outputs = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)
    result = run("shop/read_anthology.py")["result"]
    shown = capsys.readouterr().out
    assert outputs[0].replace("01a1f8df-5ebf-7bee-a211-e2521ee83faf", result.id) in shown
    broken = run("shop/broken_anthology.py")["result"]
    assert outputs[1] in capsys.readouterr().out
    call_command("taskworks", "workflows", broken.id)
    assert outputs[2] in capsys.readouterr().out
    call_command("taskworks", "workflows", broken.id, retry=True)
    assert capsys.readouterr().out == f"{broken.id} retried, 1 run.\n"


@executes("shop/importing.py")
@with_database
def test_an_import_in_chunks(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    importing = import_module("shop.importing")
    monkeypatch.setattr(importing, "CHUNK", 1000)
    lines = [f"{number},price {number}\n" for number in range(500)]
    Path("products.csv").write_text("".join(lines))
    saved: list[list[str]] = []
    monkeypatch.setattr(importing, "save", saved.extend)
    result = importing.import_file("products.csv", "7")
    work()
    result.refresh()
    assert result.status == "successful"
    assert sorted(saved) == sorted(line.strip().split(",") for line in lines)
    assert len([*result.results("jobs")]) > 5
    assert capsys.readouterr().out == "products.csv is imported.\n"
    Path("empty.csv").touch()
    importing.import_file("empty.csv", "7")
    work()
    assert capsys.readouterr().out == "empty.csv is imported.\n"


@executes("shop/import_view.py")
@with_database
def test_an_import_is_watched(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    view = import_module("shop.import_view")
    page = (DOCS / "howto" / "import-a-million-rows.md").read_text()
    [template] = re.findall(r"```html\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "watch_import.html").write_text(template)
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [str(tmp_path)],
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ]
    settings.ROOT_URLCONF = "tests.client.urls"
    Path("products.csv").write_text("1,2\n")
    import_file = view.import_file
    monkeypatch.setattr(view, "redirect", lambda name, workflow_id: (name, workflow_id))
    request = RequestFactory().get("/")
    request.user = User.objects.create_user("ann")
    monkeypatch.setattr(view, "import_file", lambda path, user: import_file("products.csv", user))
    name, workflow_id = view.start_import(request)
    assert (name, Workflow.objects.get(id=workflow_id).owner) == (
        *("watch-import", str(request.user.pk)),
    )
    shown = view.watch_import(request, workflow_id).content.decode()
    assert f'<taskworks-progress workflow="{workflow_id}" label="The import" no-cancel>' in shown


# Steps


@executes("shop/checkout.py")
@with_database
def test_steps_that_are_not_repeated(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("shop.checkout")
    send_mail = module.send_mail

    def failing(order_id: int, number: int) -> None:
        send_mail(order_id, number)
        if number == 1:
            raise OSError

    result = module.check_out.enqueue(7)
    with monkeypatch.context() as patch:
        patch.setattr(module, "send_mail", failing)
        run_tasks()
    assert capsys.readouterr().out == "charging 7\nbooking ch_7\nmailing 0\nmailing 1\n"
    make_due()
    run_tasks()
    assert capsys.readouterr().out == "mailing 1\n"
    result.refresh()
    assert result.return_value == "ch_7"


@executes("shop/approval.py", "shop/decide.py")
@with_database
def test_wait_for_a_person_s_approval(capsys: Capture) -> None:
    pay_out = import_module("shop.approval").pay_out
    decide = import_module("shop.decide").decide
    first, second = pay_out.enqueue(1), pay_out.enqueue(2)
    run_tasks()
    output = capsys.readouterr().out
    assert f"mail: please decide on payout 1 at /decide/{first.id}/\n" in output
    reason = "It waits for the event 'decision', until "
    assert str(why_waiting(first)).startswith(reason)

    def click(result: Any, answer: str) -> Any:
        request = RequestFactory().post("/", {"answer": answer, "name": "anna"})
        return json.loads(decide(request, result.id).content)["counts"]

    assert (click(first, "yes"), click(first, "no"), click(second, "no")) == (True, False, True)
    run_tasks()
    with clock() as moved:
        moved.advance(days=3)
        run_tasks()
    for result, returned in ((first, "paid"), (second, "refused by anna")):
        result.refresh()
        assert result.return_value == returned
    assert capsys.readouterr().out == "paying 1\n"


@executes("shop/trips.py")
@with_database
def test_a_saga_with_compensation(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("shop.trips")
    cancel = module.cancel

    def failing(part: str, trip_id: int) -> None:
        cancel(part, trip_id)
        if part == "flight":
            raise OSError

    result = module.book_trip.enqueue(7)
    with monkeypatch.context() as patch:
        patch.setattr(module, "cancel", failing)
        run_tasks()
    parts = "book flight\nbook hotel\nbook car\ncancel hotel\ncancel flight\n"
    assert capsys.readouterr().out == parts
    make_due()
    run_tasks()
    assert capsys.readouterr().out == "cancel flight\n"
    result.refresh()
    assert result.return_value == "There is no car, so nothing is booked."


@executes("shop/wakeup_settings.py", "shop/wakeup_settings_behind_a_pooler.py")
@pytest.mark.parametrize("file", ["wakeup_settings", "wakeup_settings_behind_a_pooler"])
def test_redis_wakes_workers(settings: Settings, file: str) -> None:
    settings.TASKWORKS = run(f"shop/{file}.py")["TASKWORKS"]
    assert [message for message in run_checks() if message.is_serious()] == []
    assert conf().notify is (file == "wakeup_settings")
