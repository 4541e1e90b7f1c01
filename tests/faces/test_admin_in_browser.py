"""The pages of the admin in a browser, 1,400 pixels wide."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from selenium import webdriver
from selenium.webdriver.common.by import By

from taskworks.models import RunState, Schedule, TaskRun, Worker
from tests.chromium import chromium, programs
from tests.client.absent import skip_or_fail
from tests.faces.conftest import LONG_AGO, MakeRun
from tests.live_site import live_site
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]

LONG_PATH = "accounting.payroll.monthly.tasks.calculate_all_salaries_and_send_the_payslips"
LONG_ERROR = "accounting.payroll.exceptions.SalaryOfEmployeeIsNotKnownError"
# How far a page, and what scrolls in it, is wider than there is room for.
OVERFLOWS = """
    return [document.documentElement, ...document.querySelectorAll("main *")]
        .filter((e) => ["auto", "scroll"].includes(getComputedStyle(e).overflowX)
                       || e === document.documentElement)
        .filter((e) => e.tagName !== "PRE" && e.scrollWidth > e.clientWidth)
        .map((e) => `${e.tagName}.${e.className}: ${e.scrollWidth} > ${e.clientWidth}`)
"""


@pytest.fixture
def site() -> Iterator[str]:
    with live_site() as site:
        yield site


@pytest.fixture
def browser(site: str, client: Client, settings: Any) -> Iterator[webdriver.Chrome]:
    """Signed in as somebody who may do everything."""
    if not programs():
        skip_or_fail("chromium and chromedriver")
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    client.force_login(User.objects.create_superuser("root"))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    with chromium(width=1400) as browser:
        browser.get(f"{site}/admin/login/")
        browser.add_cookie({"name": settings.SESSION_COOKIE_NAME, "value": cookie})
        yield browser


@pytest.fixture
def runs(make_run: MakeRun) -> list[TaskRun]:
    """A failed run and a running one with all that is long, and one in each state."""
    for state in RunState.values:
        make_run(state)
    TaskRun.objects.update(task_path=LONG_PATH, queue_name="payroll-of-all-subsidiaries")
    running = make_run("running", target=40_000_000, progress=12_345_678)
    running.last_attempted_at = running.enqueued_at - timedelta(hours=5)
    running.save()
    message = "the salary of employee 123 is not known; " * 20
    error = {
        "attempt": 1,
        "at": LONG_AGO,
        "worker_id": "w",
        "exception_class_path": LONG_ERROR,
        "traceback": f"Traceback\n{LONG_ERROR}: {message}\n",
    }
    return [make_run("failed", errors=[error], task_path=LONG_PATH), running]


def test_nothing_scrolls_sideways(
    site: str, browser: webdriver.Chrome, runs: list[TaskRun], worker: Worker
) -> None:
    Schedule(label="The salaries of all employees", path="tests.tasks.noop", cron="@daily").save()
    lists = [reverse(f"admin:taskworks_{name}_changelist") for name in ("taskrun", "worker")]
    pages = [reverse("admin:taskworks_taskrun_change", args=[run.id]) for run in runs]
    for page in [*lists, reverse("admin:taskworks_schedule_changelist"), *pages]:
        browser.get(f"{site}{page}")
        assert (page, browser.execute_script(OVERFLOWS)) == (page, [])


def test_a_button_cancels_the_run_of_a_page(
    site: str, browser: webdriver.Chrome, make_run: MakeRun
) -> None:
    run = make_run()
    browser.get(f"{site}{reverse('admin:taskworks_taskrun_change', args=[run.id])}")
    [button] = browser.find_elements(By.CSS_SELECTOR, ".taskworks-action button")
    button.click()
    wait_for(
        lambda: "1 task run: cancelled." in browser.find_element(By.TAG_NAME, "body").text,
        "the page says what was done",
    )
    run.refresh_from_db()
    assert run.state == "cancelled"
