"""The list of runs: tabs, search, filters and pages."""

from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils.http import urlencode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from taskworks.dashboard.runs import list_page
from taskworks.dashboard.runs.meant import OURS
from taskworks.filtering import sources
from taskworks.filtering.parsing import NAMES
from taskworks.models import RunState, TaskRun
from taskworks.store import store
from tests.dashboard.conftest import SignIn, place
from tests.dashboard.runs.conftest import error, make, text_of

pytestmark = pytest.mark.django_db


def address(**query: Any) -> str:
    return f"{place('runs')}?{urlencode(query, doseq=True)}"


def listed(response: Any) -> set[str]:
    """The ids of the runs in a list."""
    text = text_of(response)
    return {
        part.partition('"')[0] for part in text.split('name="id" value="')[1:] if part[8] == "-"
    }


def test_tabs_filters_and_rows(root: Client) -> None:
    failed = make(
        state=RunState.FAILED,
        queue_name="mail",
        kwargs={"customer": 17, "password": "hidden-value"},
        errors=[error(traceback="ValueError: no stamp\n")],
    )
    retrying = make(state=RunState.SCHEDULED, attempts=1, failures=1, errors=[error()])
    ready = make(state=RunState.READY)

    text = text_of(root.get(place("runs")))
    assert listed(root.get(place("runs"))) == {str(run.id) for run in (failed, retrying, ready)}
    assert "ValueError: no stamp" in text
    assert "customer=17" in text
    assert "hidden-value" not in text

    for query, found in (
        ({"state": "failed"}, {failed}),
        ({"state": "scheduled", "attempts": "1"}, {retrying}),
        ({"queue": "mail"}, {failed}),
        ({"arg": "customer=17"}, {failed}),
        ({"error": "no stamp"}, {failed}),
        ({"id": [str(ready.id), str(failed.id)]}, {ready, failed}),
        ({"since": "1h", "took": "1s"}, {failed}),
        ({"task": "tests.tasks.other"}, set()),
    ):
        response = root.get(address(**query))
        assert listed(response) == {str(run.id) for run in found}, query
        assert "tw-chip" in text_of(response)


def test_what_is_typed_becomes_an_address_that_can_be_shared(root: Client) -> None:
    response = root.get(address(q='state:failed error~"no stamp" arg.a.b=1', queue="mail", task=""))

    assert response.status_code == 302
    query = QueryDict(response["Location"].partition("?")[2])
    assert dict(query.lists()) == {
        "state": ["failed"],
        "error": ["no stamp"],
        "arg": ["a.b=1"],
        "queue": ["mail"],
    }
    assert root.get(address(q="")).status_code == 302
    assert "A quotation mark is missing" in text_of(root.get(address(q='error~"no')))
    assert "A value is missing in " in text_of(root.get(address(q="state:failed error~")))


def test_pages_go_on_where_the_last_one_ended(root: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(list_page, "PAGE_SIZE", 3)
    now = store().read_clock()
    runs = {str(make(finished_at=now - timedelta(seconds=n % 4)).id) for n in range(8)}

    for query in ({}, {"state": "successful"}):
        seen: list[str] = []
        where = address(**query)
        while where:
            text = text_of(root.get(where))
            seen += listed(root.get(where))
            _, _, rest = text.partition('rel="next"')
            link = text[: len(text) - len(rest)].rpartition('href="')[2] if rest else ""
            where = link.partition('"')[0].replace("&amp;", "&")
        assert sorted(seen) == sorted(runs)


def test_a_search_says_how_far_it_has_looked(root: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(sources, "WINDOW", 2)
    oldest = make(queue_name="mail", id="01a1f8df-0000-7000-8000-000000000000")
    for _ in range(3):
        make()

    text = text_of(root.get(address(queue="mail")))

    assert "Searched the newest 2 runs" in text
    assert "Search further back" in text
    assert str(oldest.id) not in text
    assert listed(root.get(address(queue="mail"))) == set()


def test_a_filter_does_not_tell_what_may_not_be_seen(root: Client, sign_in: SignIn) -> None:
    make(kwargs={"password": "x", "customer": 17})

    assert "hidden" in text_of(root.get(address(arg="login.password=x")))
    assert listed(root.get(address(arg="password=x"))) == set()
    client = sign_in("view_taskrun")
    assert "may not see arguments" in text_of(client.get(address(arg="customer=17")))
    assert listed(client.get(address(arg="customer=17"))) == set()


@pytest.mark.parametrize(
    "query",
    [
        {"state": "borken"},
        {"nonsense": "x"},
        {"since": "yesterday"},
        {"took": "-1"},
        {"id": "5"},
        {"after": "nonsense"},
        {"after": "9999-12-31T23:59:59+00:00~x", "state": "failed"},
        {"state": ["failed"] * 101},
        {"queue": "\x00"},
        {"arg": "=5"},
        {"task": "x" * 100_000},
        {"q": "x" * 100_000},
    ],
)
def test_each_nonsense_gets_a_sentence(root: Client, query: dict[str, Any]) -> None:
    text = text_of(root.get(address(**query)))
    assert "tw-message-warning" in text
    assert len(text) < 500_000


TEXT = some.text(max_size=30) | some.sampled_from(
    ["failed", "2h", "2026-11-30", "<5s", "0001-01-01", "9999-12-31T23:59:59Z", "a=1", "[1", "null"]
)
QUERIES = some.dictionaries(
    some.sampled_from([*NAMES, *OURS]) | some.text(max_size=10),
    some.lists(TEXT, max_size=3),
    max_size=4,
)


@pytest.mark.not_every_day
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(QUERIES)
def test_no_query_is_an_error_of_ours(root: Client, query: dict[str, list[str]]) -> None:
    cleaned = {
        name.encode(errors="ignore").decode(): [
            one.encode(errors="ignore").decode() for one in texts
        ]
        for name, texts in query.items()
    }
    for name in ("runs", "runs_matching"):
        response = root.get(f"{place(name)}?{urlencode(cleaned, doseq=True)}")
        assert response.status_code in (200, 302, 400), response.content.decode()


def test_a_page_of_fifty_runs_is_small(root: Client) -> None:
    for number in range(50):
        make(state=RunState.FAILED, errors=[error()], kwargs={"order": number, "country": "CH"})
    response = root.get(place("runs"))
    assert text_of(response).count("data-tw-row") == 50
    assert len(response.content) <= 60_000


def test_looking_changes_nothing(root: Client) -> None:
    run = make(state=RunState.FAILED)
    before = [*TaskRun.objects.values()]

    for where in (
        place("runs"),
        f"{place('runs_matching')}?state=failed&do=retry",
        place("run", run.id),
        place("run_changed", run.id),
        place("new_run"),
        place("new_run_of", "tests.tasks.noop"),
    ):
        text_of(root.get(where))
    assert root.get(place("run_act", run.id, "retry")).status_code == 405
    assert [*TaskRun.objects.values()] == before
