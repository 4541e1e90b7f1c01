"""The code of the pages on typed tasks."""

import inspect
from datetime import date
from importlib import import_module

import pytest
from django.contrib.auth.models import User

from taskworks import typed
from taskworks.exceptions import InvalidInputs
from taskworks.parameters import Fields, Typed
from taskworks.typed import params, registry
from tests.docs.conftest import Capture, Settings, only, run, with_database, work
from tests.docs.pages import DOCS, executes, reference
from tests.docs.test_reference import mentions


@pytest.fixture
def _every_queue(settings: Settings) -> None:
    settings.TASKS = {"default": {**settings.TASKS["default"], "QUEUES": []}}


@executes("reports/tasks.py", "reports/start.py")
@with_database
def test_a_class_is_a_task(capsys: Capture) -> None:
    run("reports/start.py")
    shown = capsys.readouterr().out
    page = (DOCS / "howto" / "write-a-typed-task.md").read_text()
    assert f"```text\n{shown}```" in page
    work()
    done = only("reports.tasks.MonthlyReport.task")
    assert done.return_value == {"title": "May 2026", "pages": 2}
    assert (done.progress, done.target) == (2, 2)
    report = import_module("reports.tasks").MonthlyReport
    assert report().run(date(2026, 5, 1), [], 3) == {"title": "May 2026", "pages": 0}
    assert registry.find("monthly-report") is report.task


@executes("reports/functions.py")
@with_database
def test_a_function_is_typed() -> None:
    user = User.objects.create(username="ada")
    invite = import_module("reports.functions").invite
    result = invite.enqueue(user, "2026-05-01", note="Come!")
    work()
    result.refresh()
    assert result.return_value == "ada is a guest until 01.05.2026. Come!"
    with pytest.raises(InvalidInputs):
        invite.enqueue(user, "2026-05-01", kind="king")


@executes("reports/rows.py")
@with_database
def test_a_row_is_an_input() -> None:
    user = User.objects.create(username="ada")
    welcome = import_module("reports.rows").Welcome
    results = [welcome.enqueue(user=user), welcome.enqueue(user=user.pk)]
    work()
    for result in results:
        result.refresh()
        assert result.return_value == {"letter": "Dear ada"}


@executes("reports/money.py")
@with_database
def test_a_parameter_of_ones_own() -> None:
    refund = import_module("reports.money").Refund
    result = refund.enqueue(amount="1.50 EUR")
    work()
    result.refresh()
    assert result.return_value == {"refunded": "1.50 EUR"}
    with pytest.raises(InvalidInputs, match="Enter an amount in EUR"):
        refund.enqueue(amount="1.50 USD")


@executes("reports/settings.py")
@with_database
@pytest.mark.usefixtures("_every_queue")
def test_settings_offer_tasks(settings: Settings) -> None:
    settings.TASKWORKS = run("reports/settings.py")["TASKWORKS"]
    assert {"monthly-report", "invite"} <= {*registry.offered()}


@executes("reports/seed.py")
@with_database
def test_a_task_of_the_seed() -> None:
    result = import_module("reports.seed").AddTask().start({"numbers": ["1", 2.5]})
    work()
    result.refresh()
    assert (result.return_value, result.progress) == ({"sum": 3.5}, 2)
    assert [message.text for message in result.messages] == ["sum"]


@pytest.mark.any_database
def test_the_reference_has_everything() -> None:
    page = reference("typed")
    for name in (*typed.__all__, *params.__all__):
        assert mentions(page, name), name
    for kind in (getattr(params, name) for name in params.__all__ if name.endswith("Parameter")):
        for argument in inspect.signature(kind).parameters.values():
            if argument.kind is argument.KEYWORD_ONLY:
                assert mentions(page, argument.name), argument.name
    for public in (typed.TypedTask, Typed):
        for name in dir(public):
            assert name.startswith("_") or mentions(page, name) or name in INSIDE, name
    for name in set(dir(Fields)) - set(dir(dict)):
        assert name.startswith("_") or mentions(page, name) or name in INSIDE, name


# Between our own modules.
INSIDE = {"decoded", "returned", "bare", "kind"}
