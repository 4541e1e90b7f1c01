"""The dashboard is found wherever a project includes it, and from the admin."""

import gzip
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.contrib import admin
from django.test import Client
from django.urls import include, path, set_script_prefix

import taskworks
from tests.dashboard.conftest import SignIn

pytestmark = [pytest.mark.any_database, pytest.mark.django_db]

OURS = include("taskworks.dashboard.urls")
ENTRY = "/admin/taskworks/dashboard/"


class Prefixed:
    urlpatterns = (path("admin/", admin.site.urls), path("x/y/", OURS))


class Nested:
    inner = ([path("z/", OURS)], "operations")
    urlpatterns = (path("admin/", admin.site.urls), path("ops/", include(inner)))


class Twice:
    urlpatterns = (
        path("admin/", admin.site.urls),
        path("a/", include("taskworks.dashboard.urls", namespace="first")),
        path("b/", include("taskworks.dashboard.urls", namespace="second")),
    )


class InLanguages:
    urlpatterns = (
        path("admin/", admin.site.urls),
        *i18n_patterns(path("tasks/", OURS), prefix_default_language=True),
    )


class Without:
    urlpatterns = (path("admin/", admin.site.urls),)


@pytest.mark.parametrize(
    ("urls", "overview"),
    [
        (Prefixed, "/x/y/"),
        (Nested, "/ops/z/"),
        (Twice, "/a/"),
        (Twice, "/b/"),
        (InLanguages, "/en-us/tasks/"),
    ],
)
def test_links_stay_in_the_inclusion(root: Client, settings: Any, urls: Any, overview: str) -> None:
    settings.ROOT_URLCONF = urls
    text = root.get(overview).content.decode()
    assert f'href="{overview}queues/"' in text
    assert f'hx-get="{overview}"' in text
    queues = root.get(f"{overview}queues/").content.decode()
    assert f'action="{overview}queues/pause/"' in queues
    paused = {"queue": "mail", "backend": "default"}
    response = root.post(f"{overview}queues/pause/", paused)
    assert response["Location"] == f"{overview}queues/"


def test_a_script_name_is_part_of_every_address(root: Client) -> None:
    set_script_prefix("/site/")
    try:
        text = root.get("/tasks/").content.decode()
    finally:
        set_script_prefix("/")
    assert 'href="/site/tasks/queues/"' in text


@pytest.mark.parametrize("urls", [Prefixed, Nested, Twice])
def test_the_admin_has_an_entry_that_leads_there(root: Client, settings: Any, urls: Any) -> None:
    settings.ROOT_URLCONF = urls
    assert ENTRY in root.get("/admin/").content.decode()
    assert root.get(root.get(ENTRY)["Location"]).status_code == 200


def test_the_admin_has_no_entry_for_others(root: Client, sign_in: SignIn, settings: Any) -> None:
    others = sign_in("view_worker")
    assert ENTRY not in others.get("/admin/").content.decode()
    assert others.get(ENTRY).status_code == 403
    settings.ROOT_URLCONF = Without
    assert ENTRY not in root.get("/admin/").content.decode()
    assert root.get(ENTRY).status_code == 403


def test_files_are_as_small_as_promised() -> None:
    folder = Path(taskworks.__file__).parent / "static" / "taskworks" / "dashboard"
    assert (folder / "dashboard.css").stat().st_size <= 15_000
    own = sum((folder / name).stat().st_size for name in ("dashboard.js", "theme.js"))
    assert own <= 12_000
    scripts = [gzip.compress(path.read_bytes()) for path in folder.glob("*.js")]
    assert sum(map(len, scripts)) <= 35_000
    notes = (folder / "VENDORED.md").read_text()
    for vendored in ("htmx.min.js", "idiomorph-ext.min.js"):
        assert sha256((folder / vendored).read_bytes()).hexdigest() in notes
