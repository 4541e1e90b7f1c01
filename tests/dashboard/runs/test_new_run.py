"""Start a task from its form, and run one again with other arguments."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from taskworks import task
from taskworks.models import RunState, TaskRun
from tests.dashboard.conftest import SignIn, place
from tests.dashboard.runs.conftest import SECRET, make, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

NOOP, TYPED = "tests.tasks.noop", "tests.dashboard.runs.test_new_run.ship"


@task(typed=True)
def ship(order: int, address: str = "here", api_key: str = "") -> None:
    """Send an order on its way."""


@pytest.fixture(autouse=True)
def _offered(monkeypatch: Any) -> None:
    """As if this were a tasks module of an installed app."""
    monkeypatch.setattr(
        "taskworks.dashboard.runs.startable_tasks.offered", lambda: {NOOP: None, TYPED: None}
    )


def test_the_tasks_are_listed(root: Client) -> None:
    text = text_of(root.get(place("new_run")))
    assert "Send an order on its way." in text
    assert place("new_run_of", TYPED) in text
    assert NOOP not in text_of(root.get(place("new_run"), {"q": "SHIP"}))
    assert "No task that you can start" in text_of(root.get(place("new_run"), {"q": "nope"}))


def test_a_typed_task_is_started_from_its_form(root: Client) -> None:
    where = place("new_run_of", TYPED)
    text = text_of(root.get(where))
    assert 'name="input.order" type="number"' in text
    assert "Send an order on its way." in text

    given = {
        "input.order": "5",
        "input.address": "Main St",
        "queue": "mail",
        "priority": "7",
        "start": "2030-01-01T12:00",
    }
    response = root.post(where, given)

    run = TaskRun.objects.get()
    assert response["Location"] == place("run", run.id)
    assert run.kwargs == {"order": 5, "address": "Main St", "api_key": ""}
    assert (run.queue_name, run.priority, run.state) == ("mail", 7, RunState.SCHEDULED)
    assert "start" in LogEntry.objects.get().change_message


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "Enter a value."),
        ({"input.order": "x"}, "Enter a number, not &#x27;x&#x27;."),
        ({"input.order": "1.5"}, "valid integer"),
        ({"input.order": "1", "priority": "high"}, "The priority is a whole number"),
        ({"input.order": "1", "priority": "101"}, "priority"),
        ({"input.order": "1", "start": "tomorrow"}, "The start is a date and time"),
        ({"input.order": "1", "queue": "no such queue"}, "no such queue"),
        ({"input.order": "9" * 30}, ""),
        ({"input.order": "1", "input.address": "\x00"}, "NUL"),
    ],
)
def test_what_was_entered_is_kept_with_what_is_wrong(
    root: Client, given: dict[str, str], sentence: str
) -> None:
    text = text_of(root.post(place("new_run_of", TYPED), given), 400)
    assert sentence in text
    assert not TaskRun.objects.exists()
    if "input.order" in given:
        assert given["input.order"] in text
    # A wrong one is not hidden below a closed heading.
    is_open = bool(given.keys() & {"queue", "priority", "start"})
    assert ('<details id="tw-options" open>' in text) == is_open


def test_what_cannot_be_started(root: Client, sign_in: SignIn) -> None:
    for path in ("tests.tasks.nothing", "os.system", "x", "a" * 1000):
        assert "There is no task" in text_of(root.get(place("new_run_of", path)), 404)
        assert root.post(place("new_run_of", path)).status_code == 404
    client = sign_in("view_taskrun", "view_arguments")
    assert client.get(place("new_run")).status_code == 403
    assert client.post(place("new_run_of", NOOP)).status_code == 403
    assert "New run" not in text_of(client.get(place("runs")))


def only_noop(request: Any, action: str, row: Any) -> bool:
    return action != "run" or row is None or row.module_path == NOOP


def test_a_project_decides_who_may_start_which_task(root: Client, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": f"{__name__}.only_noop"}
    text = text_of(root.get(place("new_run")))
    assert NOOP in text
    assert TYPED not in text
    assert root.post(place("new_run_of", TYPED), {"input.order": "1"}).status_code == 404


def test_a_run_is_repeated_with_other_arguments(root: Client) -> None:
    kwargs = {"order": 5, "address": "Main St", "api_key": SECRET}
    run = make(state=RunState.FAILED, task_path=TYPED, kwargs=kwargs, queue_name="mail")
    where = place("run_changed", run.id)

    text = text_of(root.get(where))
    assert SECRET not in text
    assert ">\nMain St</textarea>" in text
    unchanged = {"input.order": "5", "input.address": "Main St", "input.api_key": "********"}
    assert "No argument differs" in text_of(root.post(where, unchanged), 400)
    response = root.post(where, {**unchanged, "input.order": "6"})

    new = TaskRun.objects.exclude(id=run.id).get()
    assert response["Location"] == place("run", new.id)
    assert new.kwargs == {**kwargs, "order": 6}
    assert new.queue_name == "mail"
    text = text_of(root.get(place("run", new.id)))
    assert place("run", run.id) in text
    assert place("run", new.id) in text_of(root.get(place("run", run.id)))
    assert "Changed arguments" in text


def test_changed_secrets_are_not_shown(root: Client) -> None:
    run = make(state=RunState.FAILED, task_path=TYPED, kwargs={"order": 5, "api_key": SECRET})
    given = {"input.order": "5", "input.address": "here", "input.api_key": f"{SECRET}-new"}

    root.post(place("run_changed", run.id), given)

    new = TaskRun.objects.exclude(id=run.id).get()
    assert new.kwargs["api_key"] == f"{SECRET}-new"
    for address in (
        place("run", new.id),
        place("run_text", new.id, "metadata"),
        place("run_text", new.id, "kwargs"),
        place("runs"),
    ):
        assert SECRET not in text_of(root.get(address))
    assert not [entry for entry in LogEntry.objects.all() if SECRET in entry.change_message]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"state": RunState.RUNNING}, "has ended"),
        ({"task_path": "tests.tasks.gone"}, "tests.tasks.gone"),
        ({"callable_path": "shop.clean"}, "schedule"),
    ],
)
def test_what_cannot_be_repeated(root: Client, columns: dict[str, Any], sentence: str) -> None:
    run = make(**{"state": RunState.FAILED, "task_path": TYPED, "kwargs": {"order": 1}, **columns})
    response = root.post(place("run_changed", run.id), {"input.order": "2"})
    assert sentence in text_of(response, 400)
    assert TaskRun.objects.count() == 1


def test_arguments_that_may_not_be_seen_cannot_be_changed(sign_in: SignIn) -> None:
    run = make(state=RunState.FAILED, task_path=TYPED, kwargs={"order": 1})
    client = sign_in("view_taskrun", "run_task", "retry_taskrun")
    assert client.get(place("run_changed", run.id)).status_code == 403
    assert client.post(place("run_changed", run.id), {"input.order": "2"}).status_code == 403
    assert place("run_changed", run.id) not in text_of(client.get(place("run", run.id)))
