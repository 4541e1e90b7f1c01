"""The page of the example in a real browser, signed in, with CSRF protection."""

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.chromium import chromium, programs
from tests.client.absent import skip_or_fail
from tests.example.browsing import Page, served
from tests.waiting import wait_for

POST = """
    const [headers, done] = arguments;
    fetch("/api/tasks/", {
        method: "POST",
        headers: {"Content-Type": "application/json", ...headers},
        body: JSON.stringify({task: "add_up", inputs: {folder: "quick"}}),
    }).then((answer) => done(answer.status));
"""


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if programs() is None:
        skip_or_fail("chromium or chromedriver is not on the PATH, so no browser tests the page")
    folder = tmp_path_factory.mktemp("served")
    source = folder / "source" / "quick"
    source.mkdir(parents=True)
    for number in range(20):
        (source / f"module_{number}.py").write_text("def function():\n    pass\n")
    with served(folder, str(folder / "source")) as site, chromium() as browser:
        page = Page(site, browser)
        page.sign_in()
        yield page


@pytest.fixture
def page(signed_in: Page) -> Page:
    signed_in.open()
    return signed_in


def test_a_run_is_started_and_its_steps_are_shown(page: Page) -> None:
    page.start(folder="quick", how_many=2, rest=0.35)
    wait_for(lambda: page.status == "Done", "the run succeeds")
    assert len(page.steps) >= 5, page.steps
    assert page.steps[-1] == "100"
    wait_for(lambda: '"modules": 20' in page.text("#outputs"), "the outputs are shown")
    assert not page.part("cancel").is_displayed()
    # One request for the state; everything else came by the stream of events.
    address = f"/api/tasks/{page.element.get_attribute('run')}/"
    requested = [path for path in page.requests if path.startswith(address)]
    assert requested == [address, f"{address}events/"]


def test_a_run_survives_a_reload_and_is_cancelled_by_the_button(page: Page) -> None:
    page.start(folder="quick", rest=0.5)
    wait_for(lambda: page.percent > 0, "there is progress")
    run, before = page.element.get_attribute("run"), page.percent
    page.reload()
    wait_for(lambda: page.percent > before, "there is more progress")
    assert page.element.get_attribute("run") == run
    assert page.status == "Running"

    page.part("cancel").send_keys(Keys.ENTER)
    wait_for(lambda: page.status == "Cancelled", "the run is cancelled")
    assert page.percent < 100
    assert not page.part("cancel").is_displayed()
    assert page.focused == page.part("status")

    page.reload()
    wait_for(lambda: page.status == "Cancelled", "a reload shows a run that is over as well")


def test_a_function_has_a_form_as_well(page: Page) -> None:
    page.choose("add_up")
    what = Select(page.browser.find_element(By.ID, "input-what"))
    assert [option.text for option in what.options] == ["functions", "lines", "comment_lines"]
    assert what.first_selected_option.text == "lines"
    what.select_by_value("functions")
    page.start(folder="quick")
    wait_for(lambda: '"result": 20' in page.text("#outputs"), "each module has a function")


def test_a_failure_shows_what_the_task_says_of_it(page: Page) -> None:
    page.start(folder="nowhere")
    wait_for(lambda: page.status == "Failed", "the run fails")
    assert page.part("error").text.startswith("The survey failed. Choose a folder")
    assert page.part("error").get_attribute("role") == "alert"


def test_refused_inputs_are_named_at_their_fields(page: Page) -> None:
    page.start(how_many=99, rest=7)
    wait_for(lambda: page.text("#input-how_many ~ [role=alert]"), "the field says what is wrong")
    assert page.text("#input-rest ~ [role=alert]")
    assert page.text("#input-folder ~ [role=alert]") == ""
    assert page.element.get_attribute("run") == ""


def test_the_bar_is_one_for_people_who_do_not_see_it(page: Page) -> None:
    page.start(folder="quick", rest=0)
    wait_for(lambda: page.status == "Done", "the run succeeds")
    bar = page.part("bar")
    assert (bar.aria_role, bar.accessible_name) == ("progressbar", "The run")
    attributes = ("aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext")
    assert [bar.get_attribute(name) for name in attributes] == ["0", "100", "100", "20 / 20"]
    assert page.part("status").aria_role == "status"
    assert page.part("log").aria_role == "log"


def test_a_request_without_the_token_is_refused(page: Page) -> None:
    post = page.browser.execute_async_script
    assert post(POST, {}) == 403
    token = page.browser.get_cookie("csrftoken")
    assert token is not None
    assert post(POST, {"X-CSRFToken": token["value"]}) == 201


def test_another_run_in_the_same_element_replaces_the_first(page: Page) -> None:
    page.start(folder="nowhere")
    wait_for(lambda: page.status == "Failed", "the first run fails")
    page.start(folder="quick", rest=0)
    wait_for(lambda: page.status == "Done", "the second run succeeds")
    assert not page.part("error").is_displayed()


def test_an_element_for_nothing_says_so(page: Page) -> None:
    page.browser.get(f"{page.site}/tasks/?run=nothing")
    wait_for(lambda: page.part("error").is_displayed(), "the error is shown")
    assert page.part("error").text
    assert page.browser.find_elements(By.CSS_SELECTOR, "#outputs:not([hidden])") == []


def test_a_survey_is_followed_by_the_element_and_then_shows_its_summary(page: Page) -> None:
    page.browser.get(page.site)
    page.browser.find_element(By.CSS_SELECTOR, "main form button").click()
    heading = "//h2[text()='The longest functions']"
    wait_for(lambda: page.browser.find_elements(By.XPATH, heading), "the summary is shown")
    assert "/surveys/" in page.browser.current_url
    assert "20 of 20 modules measured, 0 failed." in page.text("main")
    assert page.browser.find_elements(By.TAG_NAME, "taskworks-progress") == []
