"""The page of a run."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from taskworks.models import RunState, TaskRun
from tests.dashboard.conftest import SignIn, place
from tests.dashboard.runs.conftest import HOSTILE, SECRET, error, make, text_of

pytestmark = pytest.mark.django_db

PAGES = ("run", "run_steps", "run_strip", "run_relatives")
FRAGMENT = {"HX-Request": "true"}
COLUMNS = ("args", "kwargs", "options", "worker_ids", "errors", "messages", "metadata")


def test_it_shows_what_is_known(root: Client) -> None:
    run = make(
        state=RunState.FAILED,
        args=["x"],
        kwargs={"customer": 17},
        errors=[error(1, traceback="ValueError: first\n"), error(2)],
        attempts=2,
        metadata={"correlation_id": "req-5"},
    )

    text = text_of(root.get(place("run", run.id)))

    for shown in (
        str(run.id),
        "tests.tasks.noop",
        "&quot;customer&quot;: 17",
        "req-5",
        "Attempt 2",
    ):
        assert shown in text
    assert text.index("ValueError: no") < text.index("ValueError: first")
    assert "File &quot;/srv/shop/x.py&quot;" in text
    assert f'action="{place("run_act", run.id, "retry")}"' in text


def test_hostile_texts_are_escaped_everywhere(root: Client, hostile: TaskRun) -> None:
    addresses = [place(name, hostile.id) for name in PAGES] + [place("runs")]
    addresses.append(f"{place('runs_matching')}?state=failed&do=retry")
    for address in addresses:
        text = text_of(root.get(address))
        assert "<script>alert" not in text
        assert "\x07" not in text
        assert SECRET not in text
        assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)" in text_of(root.get(addresses[0]))


def test_values_as_text_are_masked_too(root: Client, hostile: TaskRun) -> None:
    for part in ("args", "kwargs", "metadata", "options", "error-0"):
        response = root.get(place("run_text", hostile.id, part))
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert SECRET not in text_of(response)
        assert "script" in response.content.decode()
    for part in ("error-1", "error-", "error-x", "state", "id"):
        assert root.get(place("run_text", hostile.id, part)).status_code == 404


def test_without_the_permission_only_the_kind_of_a_value_is_shown(sign_in: SignIn) -> None:
    run = make(args=["visible-value"], kwargs={"customer": 4242}, return_value={"sum": 987_654})
    client = sign_in("view_taskrun")

    for address in (place("run", run.id), place("runs"), place("run_text", run.id, "args")):
        text = text_of(client.get(address))
        assert "visible-value" not in text
        assert "4242" not in text
        assert "987654" not in text
    assert "customer" in text_of(client.get(place("run", run.id)))


@pytest.mark.parametrize(
    "text", ["nonsense", "[1, 2", "5", '{"a": ["x"]}', "[[1], {}]", '"\\u0000"']
)
def test_nonsense_in_its_columns(root: Client, text: str) -> None:
    run = make(state=RunState.FAILED)
    table = connection.ops.quote_name(TaskRun._meta.db_table)
    quoted = ", ".join(f"{name} = %s" for name in COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {quoted}", [text] * len(COLUMNS))

    for name in PAGES:
        text_of(root.get(place(name, run.id)))
        text_of(root.get(place(name, run.id), headers=FRAGMENT))
    for address in (place("runs"), f"{place('runs')}?state=failed&error=x&arg=a=1"):
        text_of(root.get(address))
    assert root.get(place("run_changed", run.id)).status_code == 200


@pytest.mark.parametrize("state", RunState)
def test_every_state_with_few_columns(root: Client, state: RunState) -> None:
    run = make(state=state, last_attempted_at=None, started_at=None, progress=-5, target=0)

    for name in PAGES:
        text_of(root.get(place(name, run.id)))
    text_of(root.get(f"{place('runs')}?state={state}"))


def test_a_run_that_is_deleted_while_its_page_is_open(root: Client) -> None:
    run = make(state=RunState.FAILED)
    text_of(root.get(place("run", run.id)))
    run_id = run.id
    run.delete()

    for name in (*PAGES, "run_changed"):
        assert "may have been deleted" in text_of(root.get(place(name, run_id)), 404)
    assert text_of(root.post(place("run_act", run_id, "retry")), 404)
    assert text_of(root.post(place("run_changed", run_id)), 404)
    assert root.get(place("run", uuid4())).status_code == 404


def test_what_a_page_costs(root: Client) -> None:
    runs = [
        make(
            state=state,
            limit_name="limit" if state == RunState.READY else None,
            lane="lane" if state == RunState.READY else None,
            metadata={"correlation_id": "r", "taskworks.parent": str(uuid4())},
        )
        for state in RunState
    ]
    for run in runs:
        assert _statements(root, place("run", run.id)) <= 12, run.state
        for name in PAGES[1:]:
            assert _statements(root, place(name, run.id), headers=FRAGMENT) <= 4 + OF_THE_USER
    text_of(root.get(place("runs")))  # counts the states
    assert _statements(root, f"{place('runs')}?state=failed&task=tests.tasks.noop") <= 12
    assert _statements(root, place("runs"), headers=FRAGMENT) <= 4 + OF_THE_USER


OF_THE_USER = 2  # statements, by Django, before the page is asked for
OURS = ("SELECT", "UPDATE", "INSERT", "DELETE")


def _statements(client: Client, address: str, **more: Any) -> int:
    with CaptureQueriesContext(connection) as queries:
        text_of(client.get(address, **more))
    said = [query["sql"] for query in queries if query["sql"].startswith(OURS)]
    return len([sql for sql in said if "statement_timeout" not in sql])


def test_what_was_logged_is_told_apart_from_messages(root: Client) -> None:
    said = {"at": "2026-01-31T12:00:00+00:00", "level": "info", "text": "For people."}
    line = {**said, "level": "warning", "logger": f"shop{HOSTILE}", "text": HOSTILE, "attempt": 1}
    page = root.get(place("run", make(messages=[said, line]).id)).content.decode()
    messages, _, log = page.partition('id="tw-logged"')
    assert "For people." in messages
    assert "For people." not in log
    assert "warning shop" in log
    assert HOSTILE not in page
