"""The pages of runs in a browser: what went wrong at night is found and retried in few clicks."""

from contextlib import suppress
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from taskworks.models import RunState, TaskRun
from tests.dashboard.conftest import place
from tests.dashboard.runs.conftest import error, make
from tests.dashboard.test_in_browser import WIDTH, browser, chrome, set_width, site
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]
__all__ = ["browser", "chrome", "site"]


class Clicks:
    """Counts what a person clicks on."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser, self.count = browser, 0

    def on(self, selector: str, text: str = "") -> None:
        wait_for(lambda: self._is_clicked(selector, text), f"{selector} {text!r} is clicked on")
        self.count += 1

    def _is_clicked(self, selector: str, text: str) -> bool:
        """Click on the first one, unless a refresh is just replacing it."""
        with suppress(StaleElementReferenceException):
            for one in self.browser.find_elements(By.CSS_SELECTOR, selector):
                if text in one.text:
                    one.click()
                    return True
        return False


def said_on(browser: webdriver.Chrome) -> str:
    """The text of the page, which another one may be about to replace."""
    said = "return document.getElementById('tw-main')?.innerText || ''"
    return str(browser.execute_script(said))


def complaints_of(browser: webdriver.Chrome) -> list[Any]:
    """Violations of the policy and errors of scripts, without requests that a new page ends."""
    noise = ("htmx:send", "favicon.ico")
    said = [one for one in browser.get_log("browser") if not any(n in str(one) for n in noise)]
    return [*browser.execute_script("return window.violations"), *said]


def test_failures_of_a_night(site: str, browser: webdriver.Chrome, patience: None) -> None:
    meant = [make(state=RunState.FAILED, errors=[error()], queue_name="mail") for _ in range(60)]
    others = [make(state=RunState.FAILED, errors=[error()]) for _ in range(30)]
    clicks = Clicks(browser)
    browser.get(f"{site}{place('overview')}")

    clicks.on("a", "90")
    search = browser.find_element(By.CSS_SELECTOR, "[data-tw-search]")
    search.send_keys("queue:mail error~no", Keys.ENTER)
    wait_for(lambda: "queue:mail" in said_on(browser), "the search is shown")
    clicks.on("a", "All that match")
    clicks.on("a", "Retry")
    wait_for(lambda: "60 runs" in said_on(browser), "the page says how many they are")
    clicks.on("button", "Retry: 60 runs")
    wait_for(lambda: "Retried 60 runs." in said_on(browser), "the page says what was done")

    assert clicks.count < 8
    assert complaints_of(browser) == []
    states = dict(TaskRun.objects.values_list("id", "state"))
    assert {states[run.id] for run in meant} == {"ready"}
    assert {states[run.id] for run in others} == {"failed"}


def test_rows_are_ticked_with_shift_and_stay_so(site: str, browser: webdriver.Chrome) -> None:
    for _ in range(6):
        make(state=RunState.FAILED)
    browser.get(f"{site}{place('runs')}?state=failed")
    boxes = browser.find_elements(By.CSS_SELECTOR, "[data-tw-row]")
    boxes[1].click()
    ActionChains(browser).key_down(Keys.SHIFT).click(boxes[4]).key_up(Keys.SHIFT).perform()
    ticked = [box.get_attribute("value") for box in boxes if box.is_selected()]
    assert len(ticked) == 4
    make(state=RunState.FAILED)
    browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
    rows = "return document.querySelectorAll('[data-tw-row]').length"
    wait_for(lambda: browser.execute_script(rows) == 7, "the new run is shown")
    boxes = browser.find_elements(By.CSS_SELECTOR, "[data-tw-row]")
    assert {box.get_attribute("value") for box in boxes if box.is_selected()} == {*ticked}
    browser.find_element(By.TAG_NAME, "body").send_keys("e")
    wait_for(lambda: "4 runs" in said_on(browser), "the key leads to the page that asks")
    assert complaints_of(browser) == []


def test_ten_refreshes_leave_everything_where_it_is(site: str, browser: webdriver.Chrome) -> None:
    for _ in range(30):
        make(state=RunState.FAILED)
    filtered = f"{place('runs')}?state=failed&since=2h"
    browser.get(f"{site}{filtered}")
    link = browser.find_elements(By.CSS_SELECTOR, "tbody th a")[20]
    browser.execute_script("arguments[0].focus(); scrollTo(0, 400)", link)
    before = browser.execute_script(PLACE)
    assert before[1] == 400
    for number in range(10):
        newest = make(state=RunState.FAILED, queue_name=f"q{number}")
        browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
        shown = f"return Boolean(document.getElementById('tick-{newest.id}'))"
        wait_for(lambda shown=shown: browser.execute_script(shown), "the new run is shown")
    after = browser.execute_script(PLACE)
    assert (after[0], after[2]) == (before[0], before[2])
    assert browser.execute_script("return document.activeElement.getBoundingClientRect().top") > 0
    link = browser.switch_to.active_element
    link.click()
    wait_for(lambda: "Timeline" in said_on(browser), "the run is shown")
    browser.back()
    wait_for(lambda: "since:2h" in said_on(browser), "the same filter is shown")
    assert browser.current_url == f"{site}{filtered}"


# What has the focus, and how far the page is scrolled.
PLACE = """
    const one = document.activeElement;
    return [one.getAttribute("href"), scrollY, one.textContent];
"""


def test_a_run_is_watched_and_its_parts_come(site: str, browser: webdriver.Chrome) -> None:
    run = make(
        state=RunState.RUNNING,
        last_attempted_at=make().enqueued_at,
        progress=3,
        target=10,
        metadata={"correlation_id": "r"},
    )
    browser.get(f"{site}{place('run', run.id)}")
    wait_for(lambda: "no other run" in said_on(browser), "the relatives are shown")
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, ".tw-history rect"), "the strip")
    TaskRun.objects.filter(id=run.id).update(progress=7)
    browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
    wait_for(lambda: "7 / 10" in said_on(browser), "the progress is shown")
    assert "no other run" in said_on(browser)
    assert complaints_of(browser) == []


def test_pages_fit_on_a_phone(site: str, browser: webdriver.Chrome, hostile: TaskRun) -> None:
    pages: list[Any] = [
        place("runs"),
        f"{place('runs')}?queue=mail&error=x&since=2h",
        f"{place('runs_matching')}?state=failed&do=delete",
        place("run", hostile.id),
        place("new_run"),
        place("new_run_of", "tests.tasks.noop"),
    ]
    set_width(browser, 320)
    for address in pages:
        browser.get(f"{site}{address}")
        assert browser.execute_script(WIDTH) <= 320, address
        assert complaints_of(browser) == [], address
