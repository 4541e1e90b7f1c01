"""``{% load taskworks %}``."""

import json
import re
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django.template import Context, RequestContext, Template, TemplateSyntaxError
from django.test import RequestFactory

from taskworks.templatetags.taskworks import OPTIONS
from tests.behavior import Settings
from tests.client.test_in_node import SOURCE

RUN = UUID("01980000-0000-7000-8000-000000000001")


@pytest.fixture(autouse=True)
def urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.client.urls"


def rendered(tag: str, context: Context | None = None, **values: Any) -> str:
    template = Template("{% load taskworks %}{% " + tag + " %}")
    return template.render(context or Context(values))


def options_in(page: str) -> dict[str, Any]:
    block = re.search(r'<script id="taskworks-options" type="application/json">(.*?)<', page)
    assert block
    options: dict[str, Any] = json.loads(block[1])
    return options


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(rendered("taskworks_client", RequestContext(request)))


def test_the_client_knows_the_project(settings: Settings) -> None:
    settings.CSRF_COOKIE_NAME = "mine"
    settings.CSRF_HEADER_NAME = "HTTP_X_MINE"
    page = rendered("taskworks_client")
    assert options_in(page) == {
        "baseURL": "/somewhere/tasks/",
        "csrfCookieName": "mine",
        "csrfHeaderName": "X-Mine",
    }
    assert '<script type="module" src="/static/taskworks/taskworks.js"></script>' in page


def test_a_page_may_set_options() -> None:
    page = rendered("taskworks_client pollInterval=500 texts=texts", texts={"cancel": "Abbrechen"})
    options = options_in(page)
    assert options["pollInterval"] == 500
    assert options["texts"] == {"cancel": "Abbrechen"}
    assert options["baseURL"] == "/somewhere/tasks/"


def test_an_api_elsewhere_needs_none_here(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.faces.urls"
    page = rendered('taskworks_client baseURL="https://api.example/tasks/" corsMode="cors"')
    assert options_in(page)["baseURL"] == "https://api.example/tasks/"


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TemplateSyntaxError, match="Did you mean 'pollInterval'"):
        rendered("taskworks_client pollIntervall=500")


def test_every_option_of_the_client_can_be_set() -> None:
    block = re.search(r"export const options = \{\n(.*?)\n\};", SOURCE.read_text(), re.DOTALL)
    assert block
    names = re.findall(r"^  (\w+):", block[1], re.MULTILINE)
    assert {*names} - {*OPTIONS} == {"csrfCookieName", "csrfHeaderName", "csrfToken"}
    assert {*OPTIONS} <= {*names}


def test_the_file_is_where_the_tag_says() -> None:
    assert finders.find("taskworks/taskworks.js")


def test_the_browser_gets_a_token(rf: RequestFactory) -> None:
    response = CsrfViewMiddleware(answer)(rf.get("/"))
    assert response.cookies["csrftoken"].value
    assert "csrfToken" not in options_in(response.content.decode())


@pytest.mark.parametrize("setting", ["CSRF_COOKIE_HTTPONLY", "CSRF_USE_SESSIONS"])
def test_a_token_that_no_script_can_read_is_on_the_page(
    rf: RequestFactory, settings: Settings, setting: str
) -> None:
    setattr(settings, setting, True)
    request = rf.get("/")
    request.session = {}  # type: ignore[assignment]
    response = CsrfViewMiddleware(answer)(request)
    assert len(options_in(response.content.decode())["csrfToken"]) == 64


def test_without_the_api_it_says_what_to_include(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.faces.urls"
    with pytest.raises(ImproperlyConfigured, match=r'include\("taskworks.rest.urls"\)'):
        rendered("taskworks_client")


@pytest.mark.parametrize("run", [RUN, str(RUN), SimpleNamespace(id=str(RUN))])
def test_progress_is_of_a_result_a_row_or_an_id(run: Any) -> None:
    page = rendered("taskworks_progress run", run=run)
    assert page == f'<taskworks-progress run="{RUN}"></taskworks-progress>'


@pytest.mark.parametrize("flow", [RUN, SimpleNamespace(id=str(RUN))])
def test_progress_may_be_of_a_workflow(flow: Any) -> None:
    page = rendered('taskworks_progress workflow=flow label="All"', flow=flow)
    assert page == f'<taskworks-progress workflow="{RUN}" label="All"></taskworks-progress>'


def test_progress_has_a_label_and_may_have_no_button() -> None:
    page = rendered("taskworks_progress run label=label can_cancel=False", run=RUN, label='"><b>')
    assert page == (
        f'<taskworks-progress run="{RUN}" label="&quot;&gt;&lt;b&gt;" no-cancel>'
        "</taskworks-progress>"
    )


def test_progress_of_nothing_yet() -> None:
    assert rendered("taskworks_progress run", run=None).startswith('<taskworks-progress run="">')


def test_an_id_of_strangers_is_escaped() -> None:
    assert "<script" not in rendered("taskworks_progress run", run='"><script>')
