"""What people do to runs: one by one, and to all that match."""

import logging
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils.http import urlencode

from taskworks.actions import bulk
from taskworks.dashboard.runs import matching_page
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from tests.dashboard.conftest import SignIn, place
from tests.dashboard.runs.conftest import EVERYTHING, error, make, text_of

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

# What is done, to a run in which state, with which permission, and what it is then.
DEEDS = {
    "retry": (RunState.FAILED, "retry_taskrun", RunState.READY),
    "cancel": (RunState.READY, "cancel_taskrun", RunState.CANCELLED),
    "run-now": (RunState.SCHEDULED, "move_taskrun", RunState.READY),
}
ASKED = {
    **DEEDS,
    "move-runs": (RunState.READY, "move_taskrun", RunState.READY),
    "delete": (RunState.FAILED, "delete_taskrun", None),
}


def state_of(run: TaskRun) -> str | None:
    found = TaskRun.objects.filter(id=run.id).first()
    return found.state if found else None


def matching(**query: Any) -> str:
    return f"{place('runs_matching')}?{urlencode(query, doseq=True)}"


def hidden_in(text: str) -> dict[str, list[str]]:
    """The fields of the form that confirms."""
    fields: dict[str, list[str]] = {}
    for part in text.split('<input type="hidden" name="')[1:]:
        name, _, rest = part.partition('"')
        value = rest.partition('value="')[2].partition('"')[0]
        fields.setdefault(name, []).append(value.replace("&lt;", "<").replace("&#x27;", "'"))
    return fields


def confirm(client: Client, address: str, **more: Any) -> Any:
    """Look at the page, and post its form."""
    return client.post(place("runs_matching"), {**hidden_in(text_of(client.get(address))), **more})


@pytest.mark.parametrize("verb", DEEDS)
def test_each_button_does_what_it_says(root: Client, verb: str, caplog: Any) -> None:
    before, _, after = DEEDS[verb]
    run = make(state=before, errors=[error()])
    where = place("run_act", run.id, verb)
    assert f'action="{where}"' in text_of(root.get(place("run", run.id)))

    with caplog.at_level(logging.INFO, "taskworks.audit"):
        response = root.post(where, {"next": place("run", run.id)})

    assert (response.status_code, response["Location"]) == (302, place("run", run.id))
    assert state_of(run) == after
    assert f"root: {verb}, run {run.id}" in caplog.text
    assert LogEntry.objects.get().object_id == str(run.id)
    response = root.post(where, {"next": place("run", run.id)}, follow=True)
    assert "tw-message-error" in text_of(response)


@pytest.mark.parametrize("verb", ASKED)
def test_without_its_permission_nothing_is_done(sign_in: SignIn, verb: str) -> None:
    before, permission, _ = ASKED[verb]
    run = make(state=before)
    client = sign_in(*{*EVERYTHING} - {permission})

    page = text_of(client.get(place("run", run.id)))
    assert f"/{verb}/" not in page
    assert f"do={verb}" not in page
    assert f'value="{verb}"' not in text_of(client.get(place("runs")))
    asked = text_of(client.get(matching(state=before, do=verb)))
    assert "csrfmiddlewaretoken" not in asked
    fields = {"state": before, "do": verb, "to-priority": "5"}
    assert client.post(place("runs_matching"), fields).status_code == 403
    if verb in DEEDS:
        assert client.post(place("run_act", run.id, verb)).status_code == 403
    assert state_of(run) == before


def test_who_may_only_look_can_post_nothing(sign_in: SignIn) -> None:
    run = make(state=RunState.FAILED)
    client = sign_in("view_taskrun")

    for where in (
        place("run_act", run.id, "retry"),
        place("run_changed", run.id),
        place("new_run_of", "tests.tasks.noop"),
    ):
        assert client.post(where).status_code == 403
    assert TaskRun.objects.count() == 1


def test_without_a_token_nothing_is_done(root: Client) -> None:
    run = make(state=RunState.FAILED)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = root.cookies

    for where in (
        place("run_act", run.id, "retry"),
        place("runs_matching"),
        place("run_changed", run.id),
        place("new_run_of", "tests.tasks.noop"),
    ):
        assert strict.post(where, {"state": "failed", "do": "retry"}).status_code == 403
    assert state_of(run) == RunState.FAILED


@pytest.mark.parametrize("verb", ASKED)
def test_all_that_match_are_shown_and_then_acted_on(root: Client, verb: str) -> None:
    before, _, after = ASKED[verb]
    runs = [make(state=before, queue_name="mail", errors=[error()]) for _ in range(7)]
    other = make(state=before, queue_name="default")
    where = matching(state=before, queue="mail", do=verb)

    text = text_of(root.get(where))
    assert "7 runs" in text
    assert "tests.tasks.noop" in text
    later = make(state=before, queue_name="mail", enqueued_at=store().read_clock())
    more = {"to-priority": "7"} if verb == "move-runs" else {}
    response = root.post(place("runs_matching"), {**hidden_in(text), **more})

    assert response.status_code == 302, response.content.decode()
    assert {state_of(run) for run in runs} == {after}
    assert state_of(other) == before
    assert state_of(later) == before
    if verb == "move-runs":
        assert {*TaskRun.objects.filter(id__in=[run.id for run in runs]).values_list("rank")} == {
            (-7,)
        }


def test_it_says_of_how_many_runs_the_errors_are(root: Client, monkeypatch: Any) -> None:
    for _ in range(3):
        make(state=RunState.FAILED, errors=[error()])
    where = matching(state=RunState.FAILED, do="retry")
    assert "<h2>By error</h2>" in text_of(root.get(where))
    monkeypatch.setattr(matching_page, "MAX_ERRORS_READ", 2)
    assert "<h2>By error, of the first 800</h2>" in text_of(root.get(where))


def test_a_selection_is_a_filter_too(root: Client) -> None:
    first, second, third = (make(state=RunState.FAILED) for _ in range(3))

    response = confirm(root, matching(id=[first.id, third.id], do="retry"))

    assert response.status_code == 302
    assert [state_of(run) for run in (first, second, third)] == ["ready", "failed", "ready"]


def test_the_number_of_many_runs_has_to_be_typed(root: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(matching_page, "ASKED_ABOVE", 2)
    runs = [make(state=RunState.FAILED) for _ in range(3)]
    where = matching(state="failed", do="retry")

    assert "Type 3 to confirm" in text_of(root.get(where))
    for typed in ("", "2", "all"):
        response = confirm(root, where, typed=typed)
        assert "to confirm that" in text_of(response, 400)
    assert {state_of(run) for run in runs} == {RunState.FAILED}
    assert confirm(root, where, typed=" 3 ").status_code == 302
    assert {state_of(run) for run in runs} == {RunState.READY}


def test_a_run_of_its_own_acts_on_many(root: Client, monkeypatch: Any, run_tasks: Any) -> None:
    monkeypatch.setattr(matching_page, "CHUNK", 2)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    runs = [make(state=RunState.FAILED, queue_name="mail") for _ in range(5)]

    response = confirm(root, matching(state="failed", do="delete"))

    own = TaskRun.objects.exclude(id__in=[run.id for run in runs]).get()
    assert response["Location"] == place("run", own.id)
    assert "in the background" not in text_of(root.get(place("run", own.id)))
    assert {state_of(run) for run in runs} == {RunState.FAILED}
    run_tasks()
    assert {state_of(run) for run in runs} == {None}
    assert "Deleted 5 runs." in text_of(root.get(place("run", own.id)))


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"do": "retry"}, "Say which runs to retry"),
        ({"do": "retry", "state": "successful"}, "can be retried"),
        ({"do": "retry", "state": "borken"}, "is not the state of a run"),
        ({"do": "move-runs", "state": "ready", "to-queue": " x"}, "The name of a queue must be"),
        ({"do": "move-runs", "state": "ready", "to-priority": "high"}, "A priority is a whole"),
        ({"do": "move-runs", "state": "ready", "to-priority": "101"}, "from -100 to 100"),
        ({"do": "move-runs", "state": "ready", "to-priority": ""}, "Say where to move"),
        ({"do": "nothing", "state": "failed"}, ""),
    ],
)
def test_what_cannot_be_done_is_said(root: Client, query: dict[str, str], sentence: str) -> None:
    make(state=RunState.READY)
    assert sentence in text_of(root.get(matching(**query)))
    response = root.post(place("runs_matching"), query)
    assert sentence in text_of(response, 400)


def only_of_mail(request: Any, action: str, row: Any) -> bool:
    return not isinstance(row, TaskRun) or row.queue_name == "mail"


def test_a_project_decides_for_each_run(root: Client, settings: Any, monkeypatch: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "DASHBOARD_ACCESS": f"{__name__}.only_of_mail"}
    mine = [make(state=RunState.FAILED, queue_name="mail") for _ in range(2)]
    others = make(state=RunState.FAILED)

    text = text_of(root.get(place("runs")))
    assert str(mine[0].id) in text
    assert str(others.id) not in text
    for name in ("run", "run_strip", "run_relatives", "run_changed"):
        assert root.get(place(name, others.id)).status_code == 403
    assert root.post(place("run_act", others.id, "retry")).status_code == 403
    assert root.get(place("run_text", others.id, "args")).status_code == 403
    assert str(others.id) not in text_of(root.get(matching(state="failed", do="retry")))
    assert confirm(root, matching(state="failed", do="retry")).status_code == 302
    assert [state_of(run) for run in (*mine, others)] == ["ready", "ready", "failed"]
    assert confirm(root, matching(state="failed", do="retry")).status_code == 403
    make(state=RunState.FAILED, queue_name="mail")
    monkeypatch.setattr(matching_page, "CHUNK", 1)
    assert "name fewer" in text_of(confirm(root, matching(state="failed", do="retry")), 400)


def test_no_way_out_of_the_site(root: Client) -> None:
    run = make(state=RunState.FAILED)
    for wanted in ("https://evil.example/", "//evil.example/", "\\\\evil.example", "javascript:1"):
        response = root.post(place("run_act", run.id, "retry"), {"next": wanted})
        assert "evil" not in response["Location"]
        assert response["Location"].startswith("/")


def test_a_number_that_was_not_typed_confirms_nothing(root: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(matching_page, "ASKED_ABOVE", 1)
    runs = [make(state=RunState.FAILED) for _ in range(2)]
    given = {"state": "failed", "do": "retry"}
    assert root.post(place("runs_matching"), given).status_code == 400
    assert {state_of(run) for run in runs} == {"failed"}
