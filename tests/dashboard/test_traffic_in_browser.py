"""What a page that is left open asks for, counted where it arrives: nothing if it is hidden."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from selenium import webdriver

from taskworks.dashboard import history, problems_shown, queue_lines, snapshot
from tests.dashboard.conftest import place
from tests.dashboard.test_in_browser import browser, chrome, site
from tests.faces.conftest import MakeRun
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]
__all__ = ["browser", "chrome", "site"]

# A minute of the page takes three seconds, and one of what pages share, too.
HASTE = 20
HURRY = f"""
    const later = window.setTimeout.bind(window);
    window.setTimeout = (call, delay, ...rest) => later(call, delay / {HASTE}, ...rest);
    window.refresh_each = (seconds) => {{
        const chooser = document.querySelector("[data-tw-interval]");
        chooser.value = String(seconds);
        chooser.dispatchEvent(new Event("change"));
    }};
    document.addEventListener("visibilitychange", () =>
        localStorage.setItem("test.isHidden", document.hidden));
    let open = 0;
    const note = (change) => localStorage.setItem("test.openRequests", open += change);
    document.addEventListener("htmx:beforeRequest", () => note(+1));
    document.addEventListener("htmx:afterRequest", () => note(-1));
"""
MINUTE = "const [delay, done] = arguments; setTimeout(done, delay);"
ARRIVED: dict[str, int] = {}


class Counting:
    """Middleware that counts refreshes, and statements on our tables for them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HX-Request" not in request.headers:
            return self.get_response(request)
        ARRIVED["refreshes"] += 1
        with connection.execute_wrapper(self.count):
            return self.get_response(request)

    @staticmethod
    def count(execute: Any, sql: str, *rest: Any) -> Any:
        ARRIVED["statements"] += "taskworks_" in sql
        return execute(sql, *rest)


@pytest.fixture(autouse=True)
def _site_in_a_hurry(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.Counting"]
    shared = [snapshot._shared, problems_shown._findings, queue_lines._depths]
    for one in (*shared, *history._shared.values(), history._of_queues):
        monkeypatch.setattr(one, "_seconds", one._seconds / HASTE)


@pytest.fixture
def hurried(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HURRY})
    ARRIVED.update(refreshes=0, statements=0)
    browser.set_script_timeout(60)
    yield browser
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_page_that_is_seen_asks_as_often_as_it_says(
    site: str, hurried: webdriver.Chrome, make_run: MakeRun
) -> None:
    make_run(queue_name="mail")
    hurried.get(f"{site}{place('overview')}")
    hurried.execute_script("refresh_each(5)")
    wait_for(lambda: ARRIVED["refreshes"] > 1, "it refreshes itself")
    ARRIVED.update(refreshes=0, statements=0)
    hurried.execute_async_script(MINUTE, 60_000)
    assert 1 <= ARRIVED["refreshes"] <= 60 / 5 + 1
    print(f"A page that is seen, in a minute: {ARRIVED}")
    hurried.execute_script("refresh_each(0)")


def test_a_tab_behind_another_asks_for_nothing(
    site: str, hurried: webdriver.Chrome, make_run: MakeRun
) -> None:
    make_run(queue_name="mail")
    hurried.get(f"{site}{place('overview')}")
    hurried.execute_script("refresh_each(2)")
    wait_for(lambda: ARRIVED["refreshes"] > 1, "it refreshes itself")
    first = hurried.current_window_handle
    hurried.switch_to.new_window("tab")
    another = hurried.current_window_handle
    try:
        hurried.get(f"{site}/admin/login/")  # which asks for nothing
        noted = "return localStorage.getItem(arguments[0])"
        of_first = partial(hurried.execute_script, noted)
        wait_for(lambda: of_first("test.isHidden") == "true", "the first tab is hidden")
        wait_for(lambda: of_first("test.openRequests") == "0", "what it asked for is answered")
        ARRIVED.update(refreshes=0, statements=0)
        hurried.execute_async_script(MINUTE, 3_000)
        assert ARRIVED == {"refreshes": 0, "statements": 0}
    finally:
        hurried.switch_to.window(another)
        hurried.close()
        hurried.switch_to.window(first)
    wait_for(lambda: ARRIVED["refreshes"] > 1, "it goes on when it is seen")
