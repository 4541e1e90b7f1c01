"""A run's page is told when the run changes, where the server streams; and nothing but that."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings as project
from django.core.handlers.asgi import ASGIRequest
from django.test import AsyncRequestFactory, Client

from taskworks.dashboard.runs import streaming
from taskworks.models import RunState, TaskRun
from taskworks.rest.events.hub import hub
from tests.dashboard.conftest import SignIn, place
from tests.dashboard.runs.conftest import SECRET, make
from tests.rest.browsers import Browser, browsing
from tests.waiting import wait_for

pytestmark = [pytest.mark.any_database, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser
    hub.stop()


def cookie_of(client: Client) -> str:
    name = project.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


@pytest.mark.not_every_day
def test_each_change_is_told_and_not_what_it_is(root: Client, browser: Browser) -> None:
    run = make(state=RunState.RUNNING, kwargs={"password": SECRET}, progress=1, target=9)
    reading = browser.open(place("run_events", run.id), cookie=cookie_of(root))
    assert (reading.status, reading.headers["content-type"]) == (200, "text/event-stream")
    before = len(reading.events)
    TaskRun.objects.filter(id=run.id).update(progress=7, messages=[_message()])
    wait_for(lambda: len(reading.events) > before, "the change is told")
    TaskRun.objects.filter(id=run.id).update(state=RunState.CANCELLED, finished_at=run.enqueued_at)
    reading.wait_for_the_end()
    assert {*reading.events} == {("changed", 1)}
    assert SECRET not in reading.body.decode()


def _message() -> dict[str, Any]:
    return {"at": "2026-11-30T12:00:00+00:00", "level": "info", "text": SECRET}


def test_who_may_not_see_the_run_hears_nothing(sign_in: SignIn, browser: Browser) -> None:
    run = make(state=RunState.RUNNING)
    reading = browser.open(place("run_events", run.id), cookie=cookie_of(sign_in("retry_taskrun")))
    assert reading.status == 403
    assert browser.open(place("run_events", run.id)).status == 302


def test_a_run_that_has_ended_is_not_asked_for_again(root: Client, browser: Browser) -> None:
    reading = browser.open(place("run_events", make().id), cookie=cookie_of(root))
    assert reading.status == 204


def test_who_has_too_many_streams_is_told_to_do_without(
    root: Client, browser: Browser, settings: Any
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "API_MAX_USER_STREAMS": 1}
    first, second = (make(state=RunState.RUNNING) for _ in range(2))
    assert browser.open(place("run_events", first.id), cookie=cookie_of(root)).status == 200
    assert browser.open(place("run_events", second.id), cookie=cookie_of(root)).status == 503


def test_elsewhere_the_page_does_without(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(state=RunState.RUNNING)
    assert root.get(place("run_events", run.id)).status_code == 404
    assert "data-tw-events" not in root.get(place("run", run.id)).content.decode()
    request = AsyncRequestFactory().get("/")
    assert isinstance(request, ASGIRequest)
    assert streaming.is_streamed(request)
    streaming.change_streams.cache_clear()
    monkeypatch.setattr(streaming, "import_module", _missing)
    assert not streaming.is_streamed(request)
    streaming.change_streams.cache_clear()


def _missing(name: str) -> Any:
    raise ModuleNotFoundError(name)
