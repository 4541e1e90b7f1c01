"""The module and its element in a browser, with a strict Content Security Policy."""

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.chromium import chromium, programs
from tests.client.absent import skip_or_fail
from tests.client.test_in_node import SHIPPED
from tests.waiting import wait_for

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
PAGE = """<!doctype html>
<html lang="en"><title>A page</title>
<script id="taskworks-options" type="application/json">
  {"baseURL": "/api/", "pollInterval": 50}
</script>
<script type="module" src="/taskworks.js"></script>
<taskworks-progress run="1" label="One" no-cancel></taskworks-progress>
"""
RUN = {
    "id": "1",
    "status": "running",
    "progress": None,
    "target": None,
    "percent": None,
    "outputs": {},
    "messages": ["<b>first</b>"],
    "message_details": [{"level": "error", "time": "2026-01-01T00:00:00Z"}],
    "error": None,
    "cancel_requested": False,
}
CALLBACKS = """
    const done = arguments[0];
    const seen = [];
    const progressCallback = (json) => seen.push(json.status);
    TaskAPI.run("add", {a: 1}, progressCallback, ({ outputs }) => done([seen, outputs]));
"""
REMOVE = """
    const element = document.querySelector("taskworks-progress");
    window.eventCount = 0;
    element.addEventListener("taskworks-progress", () => (window.eventCount += 1));
    element.remove();
    return element.current;
"""
ATTACH = """
    const [done] = arguments;
    taskworks.attach("1").then(({ status }) => done([window.eventCount, status]));
"""


class Handler(BaseHTTPRequestHandler):
    """Serves the page, the module, and the server's run."""

    server: "Server"

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, "text/html", PAGE.encode())
        elif self.path == "/taskworks.js":
            self._answer(200, "text/javascript", SHIPPED.read_bytes())
        elif self.path in ("/api/1/", "/api/workflows/7/"):
            self.server.paths.append(self.path)
            self._answer(200, "application/json", json.dumps(self.server.poll()).encode())
        else:
            self._answer(406, "application/json", b'{"detail": "not streamed"}')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201, "application/json", json.dumps(self.server.run).encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Serves one run, ``run``, which succeeds after ``ends_after`` polls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.run: dict[str, Any] = RUN
        self.polls = 0
        self.paths: list[str] = []
        self.ends_after: float = math.inf

    def poll(self) -> dict[str, Any]:
        """Count a poll, and return the run."""
        self.polls += 1
        return {**self.run, "status": "succeeded"} if self.polls > self.ends_after else self.run


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    if programs() is None:
        skip_or_fail("chromium or chromedriver is not on the PATH, so the element is not tested")
    with chromium() as browser:
        yield browser


@pytest.fixture
def server(browser: webdriver.Chrome) -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.get(f"http://127.0.0.1:{server.server_port}/")
        yield server
        browser.get("about:blank")
        server.shutdown()


def part(browser: webdriver.Chrome, name: str) -> WebElement:
    element = browser.find_element(By.TAG_NAME, "taskworks-progress")
    return element.shadow_root.find_element(By.CSS_SELECTOR, f'[part="{name}"]')


def test_an_element_without_a_target_has_no_value(
    browser: webdriver.Chrome, server: Server
) -> None:
    wait_for(lambda: part(browser, "status").text == "Running", "it is running")
    assert part(browser, "bar").get_attribute("aria-valuenow") is None
    assert part(browser, "label").text == "One"
    assert not part(browser, "cancel").is_displayed()
    server.run = {**RUN, "status": "succeeded"}
    wait_for(lambda: part(browser, "status").text == "Done", "it is done")
    assert part(browser, "bar").get_attribute("aria-valuenow") == "100"


def test_messages_are_text_and_new_ones_are_added(
    browser: webdriver.Chrome, server: Server
) -> None:
    wait_for(lambda: part(browser, "messages").text == "<b>first</b>", "the message is shown")
    first = part(browser, "messages").find_element(By.TAG_NAME, "li")
    server.run = {**RUN, "messages": ["<b>first</b>", "second"]}
    wait_for(lambda: part(browser, "messages").text == "<b>first</b>\nsecond", "both are shown")
    kept, second = part(browser, "messages").find_elements(By.TAG_NAME, "li")
    assert kept == first
    server.run = {**RUN, "messages": ["second", "third"]}
    wait_for(lambda: part(browser, "messages").text == "second\nthird", "the oldest is gone")
    assert part(browser, "messages").find_elements(By.TAG_NAME, "li")[0] == second


def test_a_strict_policy_breaks_nothing(browser: webdriver.Chrome, server: Server) -> None:
    server.run = {**RUN, "progress": 1, "target": 2, "percent": 50}
    wait_for(lambda: part(browser, "bar").get_attribute("aria-valuenow") == "50", "it is half done")
    fill, bar = part(browser, "fill"), part(browser, "bar")
    wait_for(lambda: abs(fill.rect["width"] * 2 - bar.rect["width"]) < 4, "half of it is filled")
    assert bar.value_of_css_property("overflow") == "hidden"
    assert [entry for entry in browser.get_log("browser") if "Policy" in entry["message"]] == []


def test_nothing_moves_for_who_asks_for_that(browser: webdriver.Chrome, server: Server) -> None:
    def is_moving() -> bool:
        fill = part(browser, "fill")
        names = ("animation-name", "transition-duration")
        return [fill.value_of_css_property(name) for name in names] != ["none", "0s"]

    wait_for(lambda: part(browser, "status").text == "Running", "it is running")
    assert is_moving()
    feature = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        assert not is_moving()
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_an_element_that_is_removed_looks_no_longer(
    browser: webdriver.Chrome, server: Server
) -> None:
    wait_for(lambda: part(browser, "status").text == "Running", "it is running")
    assert browser.execute_script(REMOVE)["status"] == "running"
    server.ends_after = server.polls + 10
    assert browser.execute_async_script(ATTACH) == [0, "succeeded"]


def test_scripts_of_django_task_api_go_on(browser: webdriver.Chrome, server: Server) -> None:
    server.run = {**RUN, "status": "succeeded", "outputs": {"sum": 3}}
    assert browser.execute_async_script(CALLBACKS) == [["succeeded"], {"sum": 3}]


def test_an_element_shows_a_workflow(browser: webdriver.Chrome, server: Server) -> None:
    server.run = {**RUN, "progress": 2, "target": 8, "percent": 25.0, "messages": []}
    browser.execute_script(
        "document.querySelector('taskworks-progress').setAttribute('workflow', '7')"
    )
    wait_for(lambda: part(browser, "step").text == "2 / 8", "its progress is shown")
    wait_for(lambda: server.paths[-1] == "/api/workflows/7/", "the workflow is asked for")
    server.run = {**server.run, "status": "succeeded"}
    wait_for(lambda: part(browser, "status").text == "Done", "it is done")
