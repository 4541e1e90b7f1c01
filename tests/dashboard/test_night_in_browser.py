"""
What somebody on call does after a bad night, in a browser: the failures of a bank that is up again
are retried, a queue is paused and resumed, a task is started, and a run repeated with other
arguments. The tasks fail and succeed in a real worker.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from taskworks import control
from taskworks.failures.grouping import group
from taskworks.models import TaskRun
from taskworks.store import store
from tests.behavior import run_worker
from tests.dashboard.conftest import forget_everything, place
from tests.dashboard.runs.test_in_browser import Clicks, complaints_of, said_on
from tests.dashboard.test_in_browser import browser, chrome, site
from tests.problems import bank
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]
__all__ = ["browser", "chrome", "site"]

CHARGE, CONVERT = "tests.problems.bank.charge", "tests.problems.bank.convert"
COUNTS = """
    return Object.fromEntries([...document.querySelectorAll(".tw-numbers a")].map((link) =>
        [new URL(link.href).searchParams.get("state"), link.querySelector("b").textContent]))
"""


@pytest.fixture(autouse=True)
def _bank(monkeypatch: pytest.MonkeyPatch, patience: None) -> Iterator[None]:
    """It is down at first; and its tasks are offered, as those of an installed app are."""
    monkeypatch.setattr(
        "taskworks.dashboard.runs.startable_tasks.offered", lambda: {CHARGE: None, CONVERT: None}
    )
    bank.BANK["is_down"] = True
    yield
    bank.BANK["is_down"] = False


@pytest.fixture
def night() -> None:
    """300 runs fail of three kinds."""
    bank.charge.enqueue_many([(order,) for order in range(200)])
    bank.convert.enqueue_many([("XXX",)] * 60)
    bank.send_invoice.enqueue_many([(order,) for order in range(40)])
    run_worker()
    assert TaskRun.objects.filter(state="failed").count() == 300
    group(store())
    forget_everything()


def counts_on(browser: webdriver.Chrome) -> Any:
    return browser.execute_script(COUNTS)


def refresh_each_two_seconds(browser: webdriver.Chrome) -> None:
    Select(browser.find_element(By.CSS_SELECTOR, "[data-tw-interval]")).select_by_value("2")


def test_the_right_200_are_retried_while_the_counts_change(
    site: str, browser: webdriver.Chrome, night: None
) -> None:
    clicks = Clicks(browser)
    browser.get(f"{site}{place('overview')}")
    assert counts_on(browser)["failed"] == "300"
    assert "200 of the 200 runs of tests.problems.bank.charge" in said_on(browser)

    clicks.on(".tw-problem a", "Show")
    wait_for(lambda: "ConnectionError" in said_on(browser), "the groups are shown")
    row = browser.find_element(By.XPATH, "//tr[contains(., 'ConnectionError')]")
    row.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: "Retried: 200." in said_on(browser), "the page says what was done")
    clicks.on(".tw-nav a", "Overview")
    wait_for(lambda: counts_on(browser).get("failed") == "100", "the count is that of now")

    assert clicks.count + 1 < 8
    states = TaskRun.objects.filter(state="ready").values_list("task_path", flat=True)
    assert {*states} == {CHARGE}
    refresh_each_two_seconds(browser)
    browser.execute_script("window.isTheSamePage = true")
    bank.BANK["is_down"] = False
    run_worker()
    wait_for(lambda: counts_on(browser).get("successful") == "200", "the counts change")
    assert counts_on(browser)["failed"] == "100"
    assert browser.execute_script("return window.isTheSamePage") is True
    assert complaints_of(browser) == []


def test_a_queue_is_paused_with_a_reason_and_resumed(site: str, browser: webdriver.Chrome) -> None:
    bank.charge.using(queue_name="mail").enqueue(1)
    browser.get(f"{site}{place('queues')}")
    row = "//tr[th[starts-with(normalize-space(), 'mail')]]"
    details = browser.find_element(By.XPATH, f"{row}//details")
    details.find_element(By.TAG_NAME, "summary").click()
    details.find_element(By.NAME, "reason").send_keys("The provider is down.")
    details.find_element(By.TAG_NAME, "button").click()
    wait_for(lambda: "paused by root: The provider is down." in said_on(browser), "it is paused")
    [pause] = control.pauses()
    assert (pause.name, pause.reason) == ("mail", "The provider is down.")
    browser.find_element(By.XPATH, f"{row}//button[contains(., 'Resume')]").click()
    wait_for(lambda: "The queue mail is resumed." in said_on(browser), "it is resumed")
    assert control.pauses() == []
    assert complaints_of(browser) == []


def test_a_task_is_started_from_its_form(site: str, browser: webdriver.Chrome) -> None:
    bank.BANK["is_down"] = False
    clicks = Clicks(browser)
    browser.get(f"{site}{place('overview')}")
    clicks.on(".tw-nav a", "New run")
    wait_for(lambda: CHARGE in said_on(browser), "the tasks are listed")
    clicks.on("tbody a", CHARGE)
    wait_for(lambda: browser.find_elements(By.NAME, "input.order"), "its form is shown")
    browser.find_element(By.NAME, "input.order").send_keys("17")
    clicks.on("main button", "Start")
    wait_for(lambda: "Timeline" in said_on(browser), "the run's page is shown")
    run_worker()
    [run] = TaskRun.objects.all()
    assert (run.state, run.return_value) == ("successful", 17)
    assert complaints_of(browser) == []


def test_a_run_is_repeated_with_other_arguments(site: str, browser: webdriver.Chrome) -> None:
    failed = bank.convert.enqueue("XXX")
    run_worker()
    clicks = Clicks(browser)
    browser.get(f"{site}{place('run', failed.id)}")
    assert "KeyError" in said_on(browser)
    clicks.on("a", "Run again with changes")
    wait_for(lambda: browser.find_elements(By.NAME, "input.currency"), "its form is shown")
    field = browser.find_element(By.NAME, "input.currency")
    assert field.get_attribute("value") == "XXX"
    field.clear()
    field.send_keys("EUR")
    clicks.on("main button", "Enqueue a new run")
    wait_for(lambda: "Changed arguments" in said_on(browser), "the new run's page is shown")
    said = said_on(browser)
    assert '"XXX"' in said
    assert '"EUR"' in said
    run_worker()
    assert TaskRun.objects.exclude(id=failed.id).get().return_value == 1.0
    assert TaskRun.objects.get(id=failed.id).state == "failed"
    assert complaints_of(browser) == []
