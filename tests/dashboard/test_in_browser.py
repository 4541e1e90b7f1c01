"""The pages in a browser: they keep the policy, complain of nothing, and fit on a phone."""

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string
from selenium import webdriver
from selenium.webdriver.common.by import By

from taskworks import control
from taskworks.dashboard.headers import MIDDLEWARE_OF_DJANGO
from taskworks.models import TaskRun
from tests.chromium import chromium, programs
from tests.client.absent import skip_or_fail
from tests.dashboard import hostile
from tests.dashboard.conftest import forget_everything, place
from tests.faces.conftest import MakeRun
from tests.live_site import live_site
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]

WIDTHS = {"computer": 1280, "phone": 320}
NOTE_VIOLATIONS = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
WIDTH = "return document.scrollingElement.scrollWidth"
REQUESTS = """
    return performance.getEntriesByType("resource")
        .filter((entry) => entry.initiatorType === "xmlhttprequest").length
"""


@pytest.fixture
def site() -> Iterator[str]:
    with live_site() as site:
        yield site


@pytest.fixture(scope="module")
def chrome() -> Iterator[webdriver.Chrome]:
    if not programs():
        skip_or_fail("chromium and chromedriver")
    with chromium(width=1280) as chrome:
        note = {"source": NOTE_VIOLATIONS}
        chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", note)
        yield chrome


@pytest.fixture
def browser(chrome: webdriver.Chrome, site: str, client: Client, settings: Any) -> webdriver.Chrome:
    """Signed in as somebody who may do everything."""
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    client.force_login(User.objects.create_superuser("root"))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    chrome.get(f"{site}/admin/login/")
    chrome.execute_script("localStorage.clear()")
    chrome.add_cookie({"name": settings.SESSION_COOKIE_NAME, "value": cookie})
    chrome.get_log("browser")
    set_width(chrome, 1280)
    return chrome


def text_of(browser: webdriver.Chrome) -> str:
    """In one step, because the page may be replaced between two."""
    return str(browser.execute_script("return document.body.innerText"))


def set_width(browser: webdriver.Chrome, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 640}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def test_pages_keep_the_policy_and_fit(
    site: str, browser: webdriver.Chrome, patience: None
) -> None:
    hostile.fill()
    pages = {name: place(name, *ids) for name, ids in hostile.pages().items()}
    pages["clear_queue"] = f"{place('clear_queue')}?queue=mail&backend=default"
    pages["not there"] = place("failure_group", "nothing")
    for width in WIDTHS.values():
        set_width(browser, width)
        for theme in ("light", "dark"):
            browser.get(f"{site}{place('overview')}")
            browser.execute_script(f"localStorage.setItem('theme', '{theme}')")
            for name, address in pages.items():
                browser.get(f"{site}{address}")
                shown = browser.execute_script("return document.documentElement.dataset.theme")
                assert shown == theme, name
                assert browser.execute_script("return window.violations") == [], name
                assert browser.execute_script(WIDTH) <= width, (name, width)
                complaints = [
                    one for one in browser.get_log("browser") if "404 (Not Found)" not in str(one)
                ]
                assert complaints == [], name


def test_the_navigation_is_one_line_and_words_are_not_broken(
    site: str, browser: webdriver.Chrome, make_run: MakeRun
) -> None:
    make_run(queue_name="imports")
    browser.get(f"{site}{place('queues')}")
    tops = browser.execute_script(
        "return [...document.querySelectorAll('.tw-nav li')].map((entry) => entry.offsetTop)"
    )
    assert len({*tops}) == 1
    assert browser.find_element(By.CSS_SELECTOR, "[data-tw-theme]").text == "Theme"
    heights = browser.execute_script("""
        return [...document.querySelectorAll("tbody th")].map((cell) => {
            const range = document.createRange();
            range.selectNodeContents(cell);
            return range.getClientRects().length;
        })
    """)
    assert {*heights} == {1}  # a name is in one line


def test_a_page_shows_what_has_changed_without_losing_what_is_open(
    site: str, browser: webdriver.Chrome, make_run: MakeRun
) -> None:
    make_run(queue_name="mail")
    browser.get(f"{site}{place('queues')}")
    browser.find_element(By.CSS_SELECTOR, "#tw-live details summary").click()
    opened = browser.find_element(By.CSS_SELECTOR, "#tw-live details[open]").get_attribute("id")
    control.pause("imports", reason="of a test", by="somebody")
    forget_everything()
    browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
    wait_for(lambda: "of a test" in text_of(browser), "the pause is shown")
    assert browser.find_element(By.ID, str(opened)).get_attribute("open") is not None
    assert browser.execute_script("return window.violations") == []


def test_a_queue_is_paused_by_hand(site: str, browser: webdriver.Chrome, make_run: MakeRun) -> None:
    make_run(queue_name="mail")
    browser.get(f"{site}{place('queues')}")
    details = browser.find_element(By.XPATH, "//details[summary[contains(., 'mail')]]")
    details.find_element(By.TAG_NAME, "summary").click()
    details.find_element(By.NAME, "reason").send_keys("The provider is down.")
    details.find_element(By.TAG_NAME, "button").click()
    wait_for(
        lambda: "The queue mail is paused." in text_of(browser),
        "the page says what was done",
    )
    [pause] = control.pauses()
    assert (pause.name, pause.by) == ("mail", "root")
    assert TaskRun.objects.get().state == "ready"


def test_a_banner_says_that_nothing_answers_until_something_does(
    site: str, browser: webdriver.Chrome
) -> None:
    browser.get(f"{site}{place('overview')}")
    browser.set_network_conditions(offline=True, latency=0, throughput=0)
    browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
    banner = browser.find_element(By.CSS_SELECTOR, "[data-tw-banner]")
    wait_for(lambda: "does not answer" in banner.text, "the banner is shown")
    browser.delete_network_conditions()
    browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
    wait_for(lambda: not banner.is_displayed(), "the banner goes away")


def test_a_hidden_page_asks_for_nothing(site: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{site}{place('overview')}")
    browser.execute_script("""
        Object.defineProperty(document, "hidden", {get: () => window.isHidden, configurable: true});
        const choose = document.querySelector("[data-tw-interval]");
        window.isHidden = true;
        document.dispatchEvent(new Event("visibilitychange"));
        choose.value = "2";
        choose.dispatchEvent(new Event("change"));
        window.waited = 0;
        setTimeout(() => { window.waited = 1; }, 2500);
    """)
    wait_for(lambda: browser.execute_script("return window.waited") == 1, "time has passed")
    assert browser.execute_script(REQUESTS) == 0
    browser.execute_script(
        "window.isHidden = false; document.dispatchEvent(new Event('visibilitychange'))"
    )
    wait_for(lambda: browser.execute_script(REQUESTS) == 1, "it asks at once when it is shown")


def test_keys_lead_to_pages(site: str, browser: webdriver.Chrome) -> None:
    browser.get(f"{site}{place('overview')}")
    browser.find_element(By.TAG_NAME, "body").send_keys("gq")
    wait_for(lambda: browser.current_url.endswith(place("queues")), "the page of queues is shown")
    browser.find_element(By.TAG_NAME, "body").send_keys("?")
    dialog = browser.find_element(By.TAG_NAME, "dialog")
    wait_for(dialog.is_displayed, "the keys are shown")
    dialog.find_element(By.CSS_SELECTOR, "[data-tw-use-keys]").click()
    dialog.find_element(By.CSS_SELECTOR, "form button").click()
    browser.find_element(By.TAG_NAME, "body").send_keys("go")
    assert browser.current_url.endswith(place("queues"))


class StrictPolicy:
    """Writes the policy of a project, which trusts nothing without the nonce of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request._csp_nonce = SimpleLazyObject(lambda: "n0nce")  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["Content-Security-Policy"] = (
            "default-src 'none'; script-src 'nonce-n0nce' 'strict-dynamic'; "
            "style-src 'nonce-n0nce'; img-src 'self'; connect-src 'self'; form-action 'self'"
        )
        return response


def test_pages_keep_a_policy_of_nonces(
    browser: webdriver.Chrome, client: Client, settings: Any, patience: None
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"{__name__}.StrictPolicy"]
    assert_pages_keep_the_policy(browser, client)


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has no policies yet.")
def test_pages_keep_a_policy_of_djangos_middleware(
    browser: webdriver.Chrome, client: Client, settings: Any, patience: None
) -> None:
    csp = import_string("django.utils.csp.CSP")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, MIDDLEWARE_OF_DJANGO]
    settings.SECURE_CSP = {
        "default-src": [csp.NONE],
        "script-src": [csp.NONCE, csp.STRICT_DYNAMIC],
        "style-src": [csp.NONCE],
        "img-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "form-action": [csp.SELF],
    }
    assert_pages_keep_the_policy(browser, client)


def assert_pages_keep_the_policy(browser: webdriver.Chrome, client: Client) -> None:
    """All pages, and what comes when a page is refreshed; their scripts are executed."""
    policy = client.get(place("overview"))["Content-Security-Policy"]
    assert "'strict-dynamic'" in policy
    assert "'nonce-" in policy
    with live_site() as strict:
        hostile.fill()
        for name, ids in hostile.pages().items():
            browser.get(f"{strict}{place(name, *ids)}")
            assert browser.execute_script("return window.violations") == [], name
            assert browser.execute_script("return Boolean(window.htmx)"), name
        browser.execute_script("htmx.trigger('#tw-live', 'tw-refresh')")
        wait_for(lambda: "Updated at" in text_of(browser), "the page is refreshed")
        assert browser.execute_script("return window.violations") == []
