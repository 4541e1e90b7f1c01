"""The client against the API under WSGI, which is what runserver is: quiet on both sides."""

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_started
from rest_framework.test import APIClient

from tests.behavior import run_worker
from tests.client.absent import skip_or_fail
from tests.client.test_in_node import ROOT, SHIPPED
from tests.rest import offered
from tests.waiting import wait_for

FOLLOWING = ROOT / "tests" / "client" / "following.mjs"


@pytest.fixture
def api(settings: Any, transactional_db: None) -> None:
    """Is open to everybody."""
    settings.ROOT_URLCONF = "tests.client.urls"
    settings.TASKWORKS = {
        **settings.TASKWORKS,
        "API_TASKS": [f"{offered.__name__}.Add"],
        "API_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    }


@pytest.fixture
def node() -> str:
    return shutil.which("node") or skip_or_fail("node is not on the PATH, so no run is followed")


@pytest.fixture
def requested() -> Iterator[list[str]]:
    """The paths that are requested of the server."""
    paths: list[str] = []

    def note(environ: Any = None, **kwargs: Any) -> None:
        paths.append(environ["PATH_INFO"])

    request_started.connect(note)
    yield paths
    request_started.disconnect(note)


def test_a_run_is_followed_without_a_request_in_vain(
    api: None,
    live_server: Any,
    node: str,
    requested: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = "/somewhere/tasks/"
    body = {"task": "add", "inputs": {"a": 1}}
    run = APIClient().post(tasks, body, format="json").json()["id"]
    requested.clear()
    command = [node, str(FOLLOWING), str(SHIPPED), f"{live_server.url}{tasks}", run]
    following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: len(requested) > 2, "the client polls")
        run_worker()
        said, _ = following.communicate(timeout=60)
    finally:
        following.kill()
    assert said == "succeeded\n"
    assert {*requested} == {f"{tasks}{run}/"}
    assert not [record for record in caplog.records if record.name == "django.request"]
