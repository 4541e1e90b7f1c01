"""
Every page by axe-core's rules of WCAG 2.2 AA, in both themes, on a computer and on a phone; and by
the keyboard, without scripts, and for fingers.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from taskworks import control
from taskworks.models import RunState, TaskRun
from tests.client.absent import skip_or_fail
from tests.dashboard import hostile
from tests.dashboard.conftest import forget_everything, place
from tests.dashboard.runs.conftest import error, make
from tests.dashboard.test_in_browser import WIDTHS, browser, chrome, set_width, site
from tests.faces.conftest import MakeRun
from tests.on_request import on_request
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]
__all__ = ["browser", "chrome", "site"]

AXE = "axe_playwright_python"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
VIOLATIONS = """
    const done = arguments[arguments.length - 1];
    axe.run(document, {runOnly: {type: "tag", values: arguments[0]}, resultTypes: ["violations"]})
        .then(({violations}) => done(violations.map((one) =>
            [one.id, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))])),
            (error) => done([["axe has failed", [String(error)]]]));
"""
# Of what can be clicked, and is not a link within a sentence.
SMALL = """
    return [...document.querySelectorAll("button, input, select, summary, .tw-nav a, .tw-tabs a")]
        .filter((one) => one.checkVisibility() && one.getClientRects().length)
        .filter((one) => !one.closest(".tw-unseen"))
        .map((one) => [one.outerHTML.slice(0, 120), one.getBoundingClientRect()])
        .filter(([, {width, height}]) => Math.min(width, height) < LEAST && width > 1)
        .map(([html, {width, height}]) => `${html} ${width} x ${height}`);
"""
LEAST = 24  # pixels
CHARGE = "tests.problems.bank.charge"


def axe() -> str:
    """The script of axe-core, which a package brings."""
    found = find_spec(AXE)
    if found is None or found.origin is None:
        skip_or_fail("the package axe-playwright-python, installed without playwright")
    [script, *_] = sorted(Path(str(found.origin)).parent.rglob("axe.min.js"))
    return script.read_text()


def pages(run: TaskRun) -> dict[str, str]:
    """All pages of the dashboard, by name."""
    return {
        **{name: place(name, *ids) for name, ids in hostile.pages().items()},
        "failed runs": f"{place('runs')}?state=failed&task=tests.tasks.noop&since=2h",
        "all that match": f"{place('runs_matching')}?state=failed&do=delete",
        "a run that waits": place("run", run.id),
        "clear a queue": f"{place('clear_queue')}?queue=mail&backend=default",
        "new run": place("new_run"),
        "a form": place("new_run_of", "tests.tasks.noop"),
        "not there": place("failure_group", "nothing"),
    }


EMPTY = ("overview", "runs", "failures", "queues", "workers", "schedules", "workflows", "limits")


def violations_on(browser: webdriver.Chrome, script: str) -> Any:
    browser.execute_script(script)
    return browser.execute_async_script(VIOLATIONS, RULES)


@pytest.fixture
def everything(make_run: MakeRun, patience: None) -> dict[str, str]:
    """Pages with something on them, also with what needs attention."""
    waiting = make_run(queue_name="mail")
    control.pause("mail", reason="of a test", by="anna")
    make(state=RunState.FAILED, errors=[error(), error(2)], attempts=2)
    hostile.fill()
    TaskRun.objects.filter(state="failed", task_path="tests.tasks.noop").update(state="cancelled")
    forget_everything()
    return pages(waiting)


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", WIDTHS["computer"]),
        ("dark", WIDTHS["phone"]),
        pytest.param("dark", WIDTHS["computer"], marks=on_request),
        pytest.param("light", WIDTHS["phone"], marks=on_request),
    ],
)
def test_no_page_breaks_a_rule(
    site: str, browser: webdriver.Chrome, everything: dict[str, str], theme: str, width: int
) -> None:
    script, found = axe(), {}
    set_width(browser, width)
    browser.get(f"{site}{place('overview')}")
    browser.execute_script(f"localStorage.setItem('theme', '{theme}')")
    for name, address in everything.items():
        browser.get(f"{site}{address}")
        assert browser.execute_script("return document.documentElement.dataset.theme") == theme
        if broken := violations_on(browser, script):
            found[name] = broken
    assert found == {}


@on_request
def test_no_empty_page_breaks_a_rule(site: str, browser: webdriver.Chrome) -> None:
    script = axe()
    for name in EMPTY:
        browser.get(f"{site}{place(name)}")
        assert violations_on(browser, script) == [], name


def test_targets_are_large_enough_for_fingers(
    site: str, browser: webdriver.Chrome, everything: dict[str, str]
) -> None:
    set_width(browser, WIDTHS["phone"])
    for name, address in everything.items():
        browser.get(f"{site}{address}")
        assert browser.execute_script(SMALL.replace("LEAST", str(LEAST))) == [], name


# What moves, or would when it changes.
MOVING = """
    const isLong = (text) => text.split(",").some((time) => parseFloat(time) > 0);
    document.body.style.transition = "color 5s";
    return [...document.querySelectorAll("*")].filter((one) => {
        const style = getComputedStyle(one);
        return style.animationName !== "none" || isLong(style.transitionDuration)
            || style.scrollBehavior !== "auto";
    }).map((one) => one.outerHTML.slice(0, 100)).concat(document.getAnimations());
"""


def test_nothing_moves_for_who_asks_for_that(
    site: str, browser: webdriver.Chrome, everything: dict[str, str]
) -> None:
    feature = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        for name, address in everything.items():
            browser.get(f"{site}{address}")
            assert browser.execute_script(MOVING) == [], name
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert len(browser.execute_script(MOVING)) == 1  # what the test itself has added


FOCUSED = """
    const one = document.activeElement;
    if (!one || one === document.body) { return null; }
    const style = getComputedStyle(one);
    const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    const box = one.getBoundingClientRect();
    one.tabPlace ??= (window.tabPlaces = (window.tabPlaces || 0) + 1);
    return [one.tabPlace, one.outerHTML.slice(0, 100), shown && box.width > 0];
"""
MOST_STOPS = 200


def tour(browser: webdriver.Chrome) -> list[str]:
    """Where Tab leads to, each with a visible focus, until it leaves the page or begins anew."""
    seen: dict[int, str] = {}
    for _ in range(MOST_STOPS):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        found = browser.execute_script(FOCUSED)
        if found is None or found[0] in seen:
            return [*seen.values()]
        place_, html, is_shown = found
        assert is_shown, html
        seen[place_] = html
    raise AssertionError(f"a trap: {[*seen.values()][-5:]}")


def test_everything_is_reached_by_the_keyboard_alone(
    site: str, browser: webdriver.Chrome, make_run: MakeRun
) -> None:
    make_run(queue_name="mail")
    browser.get(f"{site}{place('queues')}")
    stops = tour(browser)
    assert "Skip to the content" in stops[0]
    assert any("Pause" in stop for stop in stops)
    browser.get(f"{site}{place('queues')}")
    _press(browser, Keys.TAB, Keys.ENTER)  # skip to the content
    assert browser.switch_to.active_element.get_attribute("id") == "tw-main"
    while "<summary" not in str(browser.execute_script(FOCUSED)):
        _press(browser, Keys.TAB)
    _press(browser, Keys.ENTER, Keys.TAB, "by hand", Keys.ENTER)
    wait_for(control.pauses, "a queue is paused")
    assert control.pauses()[0].reason == "by hand"
    wait_for(lambda: "is paused." in _text(browser), "the page says so")
    _press(browser, "?")
    dialog = browser.find_element(By.TAG_NAME, "dialog")
    wait_for(dialog.is_displayed, "the keys are shown")
    _press(browser, Keys.ESCAPE)
    wait_for(lambda: not dialog.is_displayed(), "Escape closes it")


def _press(browser: webdriver.Chrome, *keys: str) -> None:
    for some in keys:
        browser.switch_to.active_element.send_keys(some)


def _text(browser: webdriver.Chrome) -> str:
    return str(browser.execute_script("return document.body?.innerText || ''"))


def _await_words(browser: webdriver.Chrome, words: str) -> None:
    """Wait for a page that says so: a click does not wait for the page that it leads to."""
    wait_for(lambda: words in browser.page_source, f"the page says {words!r}")


def test_pages_work_without_scripts(
    site: str,
    browser: webdriver.Chrome,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    patience: None,
) -> None:
    of_apps = "taskworks.dashboard.runs.startable_tasks.offered"
    monkeypatch.setattr(of_apps, lambda: {CHARGE: None})  # as if an installed app had it
    for _ in range(3):
        make(state=RunState.FAILED, queue_name="mail", errors=[error()])
    waiting = make_run(queue_name="imports")
    forget_everything()
    disabled = "Emulation.setScriptExecutionDisabled"
    browser.execute_cdp_cmd(disabled, {"value": True})
    try:
        browser.get(f"{site}{place('runs')}?state=failed&queue=mail")
        for link in ("All that match", "Retry"):
            browser.find_element(By.PARTIAL_LINK_TEXT, link).click()
        browser.find_element(By.XPATH, "//button[contains(., 'Retry: 3 runs')]").click()
        _await_words(browser, "Retried 3 runs.")
        browser.get(f"{site}{place('queues')}")
        details = browser.find_element(By.XPATH, "//details[summary[contains(., 'mail')]]")
        details.find_element(By.TAG_NAME, "summary").click()
        details.find_element(By.TAG_NAME, "button").click()
        _await_words(browser, "The queue mail is paused.")
        browser.get(f"{site}{place('run', waiting.id)}")
        browser.find_element(By.XPATH, "//button[.='Cancel']").click()
        _await_words(browser, "The run was cancelled.")
        browser.find_element(By.LINK_TEXT, "New run").click()
        browser.find_element(By.LINK_TEXT, CHARGE).click()
        browser.find_element(By.NAME, "input.order").send_keys("17")
        browser.find_element(By.XPATH, "//main//button[.='Start']").click()
        _await_words(browser, "The run was enqueued.")
    finally:
        browser.execute_cdp_cmd(disabled, {"value": False})
    assert TaskRun.objects.get(id=waiting.id).state == "cancelled"
    assert TaskRun.objects.filter(state="ready", queue_name="mail").count() == 3
    assert TaskRun.objects.get(task_path=CHARGE).kwargs == {"order": 17}
