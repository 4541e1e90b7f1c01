import re
import signal
import subprocess
import time
from http.cookiejar import CookieJar
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest

from tests.ports import free_port

PATIENCE = 60
REFRESH = 'http-equiv="refresh"'


class Browser:
    """A minimal browser: cookies, links, forms."""

    def __init__(self, site):
        self.site = site
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def get(self, path="/"):
        with self.opener.open(self.site + path, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def submit_the_form_of(self, page, path="/", **fields):
        """Return the address that the answer redirects to, and its page."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[1]
        fields["csrfmiddlewaretoken"] = token
        form = Request(self.site + path, urlencode(fields).encode())
        with self.opener.open(form, timeout=PATIENCE) as answer:
            return answer.url.removeprefix(self.site), answer.read().decode()


def eventually(attempt):
    """Return the first true value that the attempt returns."""
    deadline = time.monotonic() + PATIENCE
    while not (outcome := attempt()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return outcome


@pytest.fixture
def server(manage, tmp_path):
    port = free_port()
    with (tmp_path / "serve.log").open("w") as log:
        process = subprocess.Popen(**manage("serve", "--port", str(port)), stdout=log, stderr=log)
        process.site = f"http://127.0.0.1:{port}"
        yield process
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def browser(server):
    browser = Browser(server.site)

    def is_served():
        assert server.poll() is None
        try:
            return browser.get()
        except URLError:
            return None

    eventually(is_served)
    return browser


def page_that_says(browser, path, text, without):
    def page():
        page = browser.get(path)
        return text in page and without not in page and page

    return eventually(page)


def test_a_person_clicks_a_survey_from_start_to_end(server, browser):
    path, _ = browser.submit_the_form_of(browser.get())
    assert path == "/surveys/1/"

    summed_up = page_that_says(browser, path, "The longest functions", without=REFRESH)
    assert "4 of 4 modules measured, 1 failed." in summed_up
    assert "a group of 4 runs" in summed_up
    assert "broken.py" in summed_up
    assert "Traceback (most recent call last):" in summed_up
    assert "long.py" in summed_up
    assert path in browser.get()

    server.send_signal(signal.SIGTERM)
    assert server.wait(PATIENCE) == 0


def test_an_operator_sees_what_becomes_of_the_shop_s_tasks(server, browser):
    path = "/login/?next=/dashboard/"
    _, overview = browser.submit_the_form_of(
        browser.get("/dashboard/"), path, username="operator", password="operator"
    )
    assert "What is wrong" in overview
    page_that_says(browser, "/dashboard/", "the warehouse counts by hand", without="Server Error")
    page_that_says(
        browser, "/dashboard/runs/?state=successful", "webshop.tasks", without="Server Error"
    )
