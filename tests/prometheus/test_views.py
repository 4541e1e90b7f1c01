"""Who may read the metrics, and in which format; what the command prints."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from taskworks.conf import conf
from taskworks.prometheus import metrics, open_metrics
from taskworks.prometheus.__main__ import main
from taskworks.store import Store
from tests.prometheus.conftest import TOKEN, Settings
from tests.statistics.conftest import Flushed

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


OTHERS = [TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}"]


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", "Bearer \xe9", *OTHERS]
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


def test_the_header_chooses_the_format(store: Store, flushed: Flushed) -> None:
    flushed('it\'s "a\\task"\n', successful=3, attempts=4, took=[0.1, 5.0])
    plain = get("/open")
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    assert not plain.content.endswith(b"# EOF\n")
    answer = get("/open", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")
    # Its parser is strict.
    families = [*text_string_to_metric_families(answer.content.decode())]
    values = {s.name: s.value for one in families for s in one.samples if "task" in s.labels}
    assert values["taskworks_attempts_started_total"] == 4
    assert values["taskworks_run_seconds_count"] == 2
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
    with pytest.raises(
        ImproperlyConfigured, match=r"TASKWORKS\['METRICS_TOKEN'\] must be"
    ) as error:
        conf()
    assert "two words" not in str(error.value)


def test_the_dashboard_is_printed_without_any_settings() -> None:
    command = [sys.executable, "-m", "taskworks.prometheus", "dashboard"]
    without = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=without)
    dashboard = json.loads(done.stdout)
    assert (dashboard["uid"], dashboard["schemaVersion"]) == ("taskworks", 39)
    assert "id" not in dashboard


def test_the_alert_rules_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["prometheus", "alerts"])
    main()
    assert "alert: TaskworksQueueWithoutWorker" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["prometheus", "nonsense"])
    with pytest.raises(SystemExit):
        main()
    assert "choose from 'dashboard', 'alerts'" in capsys.readouterr().err
