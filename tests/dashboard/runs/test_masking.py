"""What a filter and a changed run hold of arguments is masked like arguments, wherever it is."""

import logging
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from taskworks import task
from taskworks.actions import bulk_run
from taskworks.actions.verbs import Action, Verb
from taskworks.filtering import parse
from taskworks.masking import MASK
from taskworks.models import RunState, TaskRun
from taskworks.steps.requests import RecordKind
from taskworks.store import store
from tests.dashboard.conftest import place
from tests.dashboard.runs.conftest import SECRET, make, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def pages_of(run: TaskRun) -> list[str]:
    parts = ("args", "kwargs", "metadata", "options")
    return [
        place("runs"),
        place("run", run.id),
        place("run_relatives", run.id),
        place("run_strip", run.id),
        place("run_steps", run.id),
        *(place("run_text", run.id, part) for part in parts),
        f"{place('runs_matching')}?id={run.id}&do=delete",
    ]


def test_the_filter_of_a_run_that_acts_on_others(root: Client, caplog: Any) -> None:
    make(state=RunState.FAILED, kwargs={"order": {"token": SECRET}})
    texts = {
        "state": ["failed"],
        "arg": [f"order.token={SECRET}", f'order={{"token":"{SECRET}"}}'],
    }
    user = User.objects.create_user("ann")
    with caplog.at_level(logging.INFO, "taskworks.audit"):
        started = bulk_run.start(Action(Verb.RETRY), parse(texts), by=user)

    run = TaskRun.objects.get(id=started.id)
    assert SECRET in str(run.kwargs)
    shown = [text_of(root.get(where)) for where in pages_of(run)]
    assert not [text for text in shown if SECRET in text]
    assert f"order.token={MASK}" in shown[1]
    [said] = [one for one in caplog.records if one.name == "taskworks.audit"]
    assert SECRET not in said.getMessage() + str(said.__dict__)
    assert SECRET not in LogEntry.objects.get().change_message


def test_nonsense_in_place_of_a_filter_is_shown(root: Client) -> None:
    path = bulk_run.act_in_background.module_path
    for texts in (None, 5, {"arg": 5}, {"arg": [5, "x"]}, {"arg": [f"=token={SECRET}"]}):
        run = make(task_path=path, kwargs={"texts": texts}, state=RunState.READY)
        assert SECRET not in text_of(root.get(place("run", run.id)))


def of_changes(name: str) -> dict[str, Any]:
    other = make()
    return {
        "taskworks.changes": {
            "run": str(other.id),
            "changes": [[name, {"note": f"{SECRET}-old"}, f"{SECRET}-new"]],
        }
    }


def hide(run: TaskRun, part: str, value: Any) -> Any:
    return {**value, "customer": "somebody"} if "customer" in value else value


@pytest.mark.parametrize("name", ["api_key", "0", "customer"])
def test_what_differs_from_the_repeated_run(root: Client, name: str, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_REDACT": f"{__name__}.hide"}
    run = make(
        state=RunState.READY, task_path=f"{__name__}.charge", metadata=of_changes(name), args=[]
    )

    shown = [text_of(root.get(where)) for where in pages_of(run)]
    assert not [text for text in shown if SECRET in text]
    assert ("somebody" if name == "customer" else MASK) in shown[1]


@task
def charge(card: str) -> None:
    """What the first argument of the task is, is nobody's business."""


def test_the_value_of_a_step_whose_name_is_that_of_a_secret(root: Client) -> None:
    run = make(state=RunState.FAILED)
    store().step_records.create(
        run=run.id,
        name="get_token",
        kind=RecordKind.STEP,
        value=f'"{SECRET}"',
        ended_at=store().read_clock(),
    )
    text = text_of(root.get(place("run_steps", run.id)))
    assert "get_token" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "query",
    [
        {"arg": f"order.token={SECRET}"},
        {"arg": f'order={{"token":"{SECRET}"}}'},
        {"arg": f"0={SECRET}"},
        {"arg": f"0={SECRET}", "task": "tests.dashboard.test_redaction.pay"},
        {"arg": f"1={SECRET}", "task": "tests.dashboard.test_redaction.pay"},
    ],
)
def test_nobody_searches_in_what_is_hidden(root: Client, query: dict[str, str]) -> None:
    is_allowed = query.get("task") is not None and query["arg"].startswith("0")
    text = text_of(root.get(place("runs"), query))
    is_refused = "so cannot be searched" in text or "may be hidden" in text
    assert is_refused != is_allowed
