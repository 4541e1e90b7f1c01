"""Who may read the metrics, and in which format; what the command prints."""

import json
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings

from taskworks.conf import conf
from taskworks.prometheus import metrics, open_metrics
from taskworks.store import Store
from tests.prometheus.conftest import TOKEN, Settings

pytestmark = pytest.mark.any_database

LOGIN = "django.contrib.auth.middleware.LoginRequiredMiddleware"


def get(path: str = "/metrics", authorization: str | None = None, **headers: str) -> Any:
    if authorization is not None:
        headers["Authorization"] = authorization
    return Client().get(path, headers=headers)


def test_without_a_token_in_the_settings_nobody_is_answered(settings: Settings) -> None:
    settings.TASKWORKS = {}
    for authorization in (None, "Bearer ", "Bearer x", "Bearer"):
        answer = get(authorization=authorization)
        assert answer.status_code == 403
        assert b"set TASKWORKS['METRICS_TOKEN']" in answer.content


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}"]
    + [TOKEN, f"Bearer {TOKEN.upper()}", "Bearer \xe9", f"Bearer x {TOKEN}"],
)
def test_who_sends_no_token_or_another_one_is_refused(given: str | None) -> None:
    answer = get(authorization=given)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN.encode() not in answer.content


def test_the_token_opens_it_and_the_open_view_needs_none(store: Store) -> None:
    for answer in (get(authorization=f"Bearer {TOKEN}"), get(authorization=f"bearer  {TOKEN}")):
        assert answer.status_code == 200
        assert b"taskworks_scrape_ok 1.0" in answer.content
        assert "no-store" in answer.headers["Cache-Control"]
    assert get("/open").status_code == 200


def test_the_header_chooses_the_format(store: Store) -> None:
    plain = get("/open")
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert not plain.content.endswith(b"# EOF\n")
    answer = get("/open", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")
    for nonsense in ("", "*/*", "text/html", "\xff;;q=x", "application/openmetrics-text;version=x"):
        assert get("/open", Accept=nonsense).status_code == 200


def test_nothing_but_reading_is_allowed(store: Store) -> None:
    assert Client().post("/open").status_code == 405
    assert Client().head("/open").status_code == 200


def test_nobody_is_sent_to_a_login_and_no_transaction_is_opened(
    store: Store, settings: Settings
) -> None:
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, LOGIN]):
        assert get(authorization=f"Bearer {TOKEN}").status_code == 200
    for view in (metrics, open_metrics):
        assert view._non_atomic_requests  # type: ignore[attr-defined]


@pytest.mark.parametrize("token", ["two words", "line\n", "caf\xe9", 5, None])
def test_a_token_that_no_header_can_carry_is_refused(token: Any, settings: Settings) -> None:
    settings.TASKWORKS = {"METRICS_TOKEN": token}
    with pytest.raises(ImproperlyConfigured, match=r"TASKWORKS\['METRICS_TOKEN'\] must be") as error:
        conf()
    assert "two words" not in str(error.value)


def printed(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "taskworks.prometheus", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_files_are_printed() -> None:
    dashboard = json.loads(printed("dashboard").stdout)
    assert (dashboard["uid"], dashboard["schemaVersion"]) == ("taskworks", 39)
    assert "id" not in dashboard
    assert "alert: TaskworksQueueWithoutWorker" in printed("alerts").stdout
    refused = printed("nonsense")
    assert refused.returncode == 2
    assert "choose from" in refused.stderr
