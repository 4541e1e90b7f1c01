"""Photograph the dashboard: serve the example with its shop, and take a picture of each page.

Run it from anywhere: `python docs/pictures/photograph_dashboard.py`. It needs the extras `dev` and
`example`, and Chromium with its driver, and takes minutes: the shop has to have sold something.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.chromium import chromium  # noqa: E402
from tests.example.browsing import served  # noqa: E402
from tests.waiting import wait_for  # noqa: E402

FOLDER = Path(__file__).with_name("dashboard")
WIDTH, PHONE = 1280, 400
SALES = 400  # runs that have succeeded
PATIENCE = 600
PAGES = {
    "overview": "",
    "runs": "runs/",
    "failures": "failures/",
    "queues": "queues/",
    "workers": "workers/",
    "schedules": "schedules/",
    "workflows": "workflows/",
    "limits": "limits/",
    "new-run": "new/webshop.tasks.refund/",
}


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), source="", with_shop=True) as site,
        chromium(WIDTH, 1000) as browser,
    ):
        sign_in(browser, f"{site}/dashboard/")
        wait_for(lambda: successful(browser) >= SALES, "much has been sold", PATIENCE)
        photograph_all(browser, f"{site}/dashboard/")


def sign_in(browser: webdriver.Chrome, dashboard: str) -> None:
    browser.get(dashboard)
    for name in ("username", "password"):
        browser.find_element(By.NAME, name).send_keys("operator")
    browser.find_element(By.CSS_SELECTOR, "main button").click()
    wait_for(lambda: browser.current_url == dashboard, "the operator is signed in")


def successful(browser: webdriver.Chrome) -> int:
    """How many runs have succeeded, by the overview, which keeps itself up to date."""
    count = "return document.querySelector(\"a[href$='state=successful'] b\").textContent"
    return int(browser.execute_script(count).replace(",", ""))


def photograph_all(browser: webdriver.Chrome, dashboard: str) -> None:
    for name, path in PAGES.items():
        browser.get(dashboard + path)
        photograph(browser, name)
    photograph(first(browser, dashboard + "runs/?state=failed", "td a, th a"), "run")
    photograph(first(browser, dashboard + "failures/", "td a, th a"), "failure")
    photograph(first(browser, dashboard + "workflows/", "td a, th a"), "workflow")
    browser.get(dashboard)
    browser.execute_script("localStorage.setItem('theme', 'dark')")
    browser.refresh()
    photograph(browser, "overview-dark")
    browser.execute_script("localStorage.setItem('theme', 'light')")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone())
    browser.refresh()
    photograph(browser, "overview-phone", width=PHONE)


def first(browser: webdriver.Chrome, page: str, link: str) -> webdriver.Chrome:
    """Follow the first link in the table of a page."""
    browser.get(page)
    browser.find_element(By.CSS_SELECTOR, f"table :is({link})").click()
    return browser


def phone() -> dict[str, object]:
    return {"width": PHONE, "height": 900, "deviceScaleFactor": 1, "mobile": True}


def photograph(browser: webdriver.Chrome, name: str, width: int = WIDTH) -> None:
    """Write the picture of a page, down to its end, but not of more than anybody looks at."""
    if width == WIDTH:
        browser.set_window_size(width, 700)
    wait_for(is_drawn(browser), "the page is drawn")
    end = browser.execute_script("return document.documentElement.scrollHeight")
    if width == WIDTH:
        browser.set_window_size(width, min(max(end + 140, 700), 1500))
    browser.save_screenshot(str(FOLDER / f"{name}.png"))


def is_drawn(browser: webdriver.Chrome) -> Callable[[], bool]:
    return lambda: browser.execute_script("return document.readyState") == "complete"


if __name__ == "__main__":
    main()
