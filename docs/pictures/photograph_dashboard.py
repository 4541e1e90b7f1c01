"""Photograph the dashboard: serve the example with its shop, and take pictures of each page:
light, dark, and on a phone.

Run it from anywhere: `python docs/pictures/photograph_dashboard.py`. It needs the extras `dev` and
`example`, and Chromium with its driver, and takes minutes: the shop has to have sold something.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
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
    "tasks": "new/",
    "new-run": "new/webshop.tasks.refund/",
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the pages look, and how the names of their pictures end then."""

    ending: str = ""
    theme: str = "light"
    is_phone: bool = False


LOOKS = [Look(), Look(ending="-dark", theme="dark"), Look(ending="-phone", is_phone=True)]


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
    pages = {name: dashboard + path for name, path in PAGES.items()}
    for name, listed in {"run": "runs/?state=failed", "failure": "failures/"}.items():
        pages[name] = first_in(browser, dashboard + listed)
    pages["workflow"] = first_in(browser, pages["workflows"])
    pages["changed-run"] = f"{pages['run']}changed/"
    for look in LOOKS:
        put_on(browser, look)
        for name, address in pages.items():
            browser.get(address)
            photograph(browser, f"{name}{look.ending}", look)


def first_in(browser: webdriver.Chrome, page: str) -> str:
    """Return where the first link in the table of a page leads."""
    browser.get(page)
    link = browser.find_element(By.CSS_SELECTOR, "table :is(td a, th a)")
    return str(link.get_attribute("href"))


def put_on(browser: webdriver.Chrome, look: Look) -> None:
    browser.execute_script("localStorage.setItem('theme', arguments[0])", look.theme)
    if look.is_phone:
        metrics = {"width": PHONE, "height": 900, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def photograph(browser: webdriver.Chrome, name: str, look: Look) -> None:
    """Write the picture of a page, down to its end, but not of more than anybody looks at."""
    if not look.is_phone:
        browser.set_window_size(WIDTH, 700)
    wait_for(is_drawn(browser), "the page is drawn")
    if not look.is_phone:
        end = browser.execute_script("return document.documentElement.scrollHeight")
        browser.set_window_size(WIDTH, min(max(end + 140, 700), 1500))
    browser.save_screenshot(str(FOLDER / f"{name}.png"))


def is_drawn(browser: webdriver.Chrome) -> Callable[[], bool]:
    return lambda: browser.execute_script("return document.readyState") == "complete"


if __name__ == "__main__":
    main()
