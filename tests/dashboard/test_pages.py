"""What every page keeps to: who sees it, what it escapes, what it costs, and that it only reads."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from taskworks.masking import MASK
from tests.dashboard import hostile
from tests.dashboard.conftest import SignIn, forget_everything, place

pytestmark = [pytest.mark.django_db, pytest.mark.thorough_on_servers]

HANDLER = re.compile(r"<[^>]*\s(?:on\w+|style)\s*=", re.IGNORECASE)
# Without what Django asks about the user, and what pages share for two seconds and more.
MOST_QUERIES = 12  # of a page
MOST_QUERIES_AGAIN = 4  # of a fragment
MOST_QUERIES_SHARED = 60
ASKED_ONCE = ("run_steps", "run_strip", "run_relatives")  # when a person opens them
OF_DJANGO = ("auth_", "django_session", "django_content_type")


@pytest.fixture
def pages(db: None, patience: None) -> dict[str, list[Any]]:
    hostile.fill()
    return hostile.pages()


def queries(captured: CaptureQueriesContext) -> list[str]:
    """
    Those of pages: no transactions, no limits of time, nothing about the user. MySQL finds queues
    one by one.
    """
    of_others = (
        *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET "),
        *("SELECT current_setting", "SELECT set_config", "SELECT MIN(`taskworks_taskrun`.`queue"),
    )
    return [
        one["sql"]
        for one in captured.captured_queries
        if not one["sql"].startswith(of_others)
        and not any(name in one["sql"] for name in OF_DJANGO)
    ]


def checksum() -> list[Any]:
    tables = [
        name
        for name in connection.introspection.django_table_names(include_views=False)
        if name.startswith(("taskworks_", "django_admin_log"))
    ]
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        rows = []
        for table in sorted(tables):
            cursor.execute(f"SELECT * FROM {quote(table)}")
            rows.append((table, sorted(map(repr, cursor.fetchall()))))
    return rows


def test_pages_escape_whatever_is_in_the_rows_and_change_nothing(
    root: Client, pages: dict[str, list[Any]]
) -> None:
    before = checksum()
    for name, ids in pages.items():
        forget_everything()
        response = root.get(place(name, *ids))
        text = response.content.decode()
        assert response.status_code == 200, (name, text)
        assert hostile.SCRIPT not in text, name
        assert "{{ 7|add:7 }}" in text or name == "overview", name
        assert HANDLER.search(text) is None, name
        assert "hunter2" not in text, name
        assert text.count("<script") == text.count('<script src="'), name
        assert "<style" not in text, name
        fragment = root.get(place(name, *ids), headers={"HX-Request": "true"})
        assert fragment.status_code == 200, name
    assert checksum() == before


def test_pages_have_a_bound_of_queries(
    root: Client, pages: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskworks.dashboard.shared._age", lambda made: 0.0)  # however slow it is
    for name, ids in pages.items():
        forget_everything()
        for most in (MOST_QUERIES_SHARED, MOST_QUERIES):
            with CaptureQueriesContext(connection) as captured:
                root.get(place(name, *ids))
            asked = queries(captured)
            assert len(asked) <= most, (name, len(asked), asked)
        with CaptureQueriesContext(connection) as captured:
            fragment = root.get(place(name, *ids), headers={"HX-Request": "true"})
        if b"<html" in fragment.content or name in ASKED_ONCE:  # it does not refresh
            continue
        asked = queries(captured)
        assert len(asked) <= MOST_QUERIES_AGAIN, (name, len(asked), asked)


def test_who_may_only_see_gets_no_button(sign_in: SignIn, pages: dict[str, list[Any]]) -> None:
    reader = sign_in("view_taskrun")
    for name, ids in pages.items():
        text = reader.get(place(name, *ids)).content.decode()
        assert 'method="post"' not in text, name
        assert MASK not in text


def test_who_may_not_see_gets_no_page(sign_in: SignIn, pages: dict[str, list[Any]]) -> None:
    others = sign_in("retry_taskrun", "cancel_taskrun", "add_pause", "stop_worker")
    for name, ids in pages.items():
        assert others.get(place(name, *ids)).status_code == 403, name
        assert Client().get(place(name, *ids)).status_code == 302, name


@pytest.mark.parametrize("window", ["1h", "24h", "7d", "", "nonsense", "<script>"])
def test_an_overview_of_any_window(root: Client, window: str) -> None:
    assert root.get(place("overview"), {"window": window}).status_code == 200


def test_nonsense_in_addresses_is_not_an_error(root: Client) -> None:
    for address, status in {
        "failures/nothing/": 404,
        "workflows/00000000-0000-0000-0000-000000000000/": 404,
        "workflows/?before=nonsense&state=x": 200,
        "failures/?muted=7": 200,
        "queues/clear/": 302,
        "queues/clear/?queue=x&backend=nowhere": 302,
        "workers/1/stop/": 404,
        "nothing/": 404,
        # No database has this character; PostgreSQL refuses to be asked for it.
        "?task=%00": 200,
        "?queue=a%00b&backend=%00": 200,
        "?queue=a%00b&backend=%00&window=7d&numbers=run": 200,
        "failures/%00/": 404,
        "new/%00/": 404,
        "database/%00/": 404,
    }.items():
        assert root.get(f"/tasks/{address}").status_code == status, address
