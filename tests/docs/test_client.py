"""The pages about the browser client."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.templatetags.static import static
from django.test import Client

from tests.client.test_in_node import SHIPPED
from tests.docs.conftest import Settings, only, run, with_database, work
from tests.docs.pages import DOCS, SNIPPETS, blocks, executes
from tests.rest.servers import under_uvicorn

PAGE = DOCS / "howto" / "watch-a-task-in-the-browser.md"
HTML = SNIPPETS / "templates" / "shop" / "printing.html"


@pytest.mark.any_database
def test_the_template_shown_is_the_one_rendered() -> None:
    assert [block.text for block in blocks(PAGE) if block.language == "html"] == [HTML.read_text()]


@pytest.fixture
def client(settings: Settings, client: Client) -> Client:
    settings.ROOT_URLCONF = "shop.urls"
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [SNIPPETS / "templates"]}]
    client.force_login(User.objects.create_user("ada"))
    return client


@executes("shop/catalogue.py", "shop/urls.py", "shop/printing.py")
@with_database
def test_the_page_shows_the_run_of_its_address(client: Client, settings: Settings) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "API_TASKS": ["shop.catalogue.PrintCatalogue"]}
    body = {"task": "print_catalogue", "inputs": {"season": "spring"}}
    started = client.post("/api/tasks/", body, content_type="application/json")
    assert started.status_code == 201, started.content
    page = client.get("/printing/", {"run": started.json()["id"]}).content.decode()
    assert f'<taskworks-progress run="{started.json()["id"]}" label="The catalogue">' in page
    assert '"baseURL": "/api/tasks/"' in page
    work()
    finished: dict[str, Any] = client.get(started.headers["Location"]).json()
    assert (finished["status"], finished["outputs"]) == ("succeeded", {"file": "spring.pdf"})
    assert (finished["percent"], len(finished["messages"])) == (100, 4)


@executes("shop/printing_at_once.py")
@with_database
def test_a_run_that_a_view_has_enqueued_is_its_users(rf: Any, client: Client) -> None:
    request = rf.post("/")
    request.user = User.objects.get()
    page = run("shop/printing_at_once.py")["print_at_once"](request).content.decode()
    stored = only("shop.catalogue.PrintCatalogue.task")
    assert f'run="{stored.id}"' in page
    assert client.get(f"/api/tasks/{stored.id}/").status_code == 200
    client.force_login(User.objects.create_user("eve"))
    assert client.get(f"/api/tasks/{stored.id}/").status_code == 404


@executes("shop/asgi.py")
@pytest.mark.any_database
@pytest.mark.parametrize(("debug", "status"), [(True, 200), (False, 404)])
def test_uvicorn_serves_the_client_in_development(
    settings: Settings, debug: bool, status: int
) -> None:
    settings.DEBUG, settings.ROOT_URLCONF = debug, "shop.urls"
    with under_uvicorn(run("shop/asgi.py")["application"]) as server:
        answer = server.ask(static("taskworks/taskworks.js"))
        assert answer.status == status
        is_the_client = answer.read_to_the_end().endswith(SHIPPED.read_bytes())
        assert is_the_client == (status == 200)
