"""Serve the example, and use its page as a person does."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from tests.ports import free_port
from tests.waiting import wait_for

EXAMPLE = Path(__file__).resolve().parents[2] / "example"
PATIENCE = 60

RECORD = """
    window.steps = [];
    document.addEventListener("taskworks-progress", ({ target }) => {
        const bar = target.shadowRoot.querySelector("[role=progressbar]");
        window.steps.push(bar.getAttribute("aria-valuenow"));
    });
"""


@contextmanager
def served(folder: Path, source: str, *, with_shop: bool = False) -> Iterator[str]:
    """Serve the example with its database in this folder; yield its address."""
    port = free_port()
    log = folder / "serve.log"
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "EXAMPLE_DATABASE": "sqlite",
        "EXAMPLE_SQLITE_PATH": str(folder / "example.sqlite3"),
        "EXAMPLE_SOURCE": source,
    }
    command = [sys.executable, str(EXAMPLE / "manage.py"), "serve", "--port", str(port)]
    command += [] if with_shop else ["--no-shop"]
    with log.open("w") as lines:
        process = subprocess.Popen(command, env=environ, stdout=lines, stderr=lines)
    try:
        site = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(site, process, log), "the example is served", PATIENCE)
        yield site
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(site: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        with urlopen(site, timeout=PATIENCE):
            return True
    except URLError:
        return False


class Page:
    """The page that starts tasks."""

    def __init__(self, site: str, browser: webdriver.Chrome) -> None:
        self.site = site
        self.browser = browser

    def sign_in(self) -> None:
        self.browser.get(f"{self.site}/tasks/")
        assert "/login/" in self.browser.current_url
        for name in ("username", "password"):
            self.browser.find_element(By.NAME, name).send_keys("demo")
        self.browser.find_element(By.CSS_SELECTOR, "main button").click()
        self.see_the_form()

    def open(self) -> None:
        self.browser.get(f"{self.site}/tasks/")
        self.see_the_form()

    def see_the_form(self) -> None:
        wait_for(lambda: self.all("#inputs p"), "the form is drawn")

    def choose(self, task: str) -> None:
        Select(self.browser.find_element(By.ID, "task")).select_by_value(task)

    def start(self, **inputs: Any) -> None:
        """Fill in the form, and start."""
        for name, value in inputs.items():
            field = self.browser.find_element(By.ID, f"input-{name}")
            field.clear()
            field.send_keys(str(value))
        self.browser.execute_script(RECORD)
        self.browser.find_element(By.CSS_SELECTOR, "#start button").click()

    def reload(self) -> None:
        self.browser.refresh()
        self.see_the_form()

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.browser.find_element(By.CSS_SELECTOR, selector).text

    @property
    def steps(self) -> list[str]:
        """The different percentages that the bar has shown since the start."""
        shown: list[str | None] = self.browser.execute_script("return window.steps")
        return list(dict.fromkeys(step for step in shown if step is not None))

    @property
    def requests(self) -> list[str]:
        """The paths of the API that the page has requested."""
        urls: list[str] = self.browser.execute_script(
            'return performance.getEntriesByType("resource").map(({ name }) => name)'
        )
        paths = [url.removeprefix(self.site) for url in urls]
        return [path for path in paths if path.startswith("/api/tasks/")]

    @property
    def focused(self) -> WebElement:
        """The part of the element that has the focus."""
        script = "return arguments[0].shadowRoot.activeElement"
        found: WebElement = self.browser.execute_script(script, self.element)
        return found

    @property
    def element(self) -> WebElement:
        return self.browser.find_element(By.TAG_NAME, "taskworks-progress")

    def part(self, name: str) -> WebElement:
        """A part of the element that shows the run."""
        return self.element.shadow_root.find_element(By.CSS_SELECTOR, f'[part="{name}"]')

    @property
    def status(self) -> str:
        return self.part("status").text

    @property
    def percent(self) -> int:
        return int(self.part("bar").get_attribute("aria-valuenow") or 0)
