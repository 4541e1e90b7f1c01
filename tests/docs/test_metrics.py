"""The pages on metrics: their code runs, and the reference has every metric."""

import re
from importlib import resources
from typing import Any

import prometheus_client
import pytest
from django.test import Client
from prometheus_client import CollectorRegistry

from taskworks.prometheus import TaskworksCollector
from tests.docs.conftest import Settings, run, with_database
from tests.docs.pages import DOCS, executes, reference

pytestmark = pytest.mark.any_database


@executes("shop/metrics_urls.py", "shop/metrics_settings.py", "shop/metrics_by_queue.py")
@with_database
def test_the_metrics_are_offered(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = "shop.metrics_urls"
    settings.TASKWORKS = run("shop/metrics_settings.py")["TASKWORKS"]
    assert Client().get("/metrics").status_code == 403
    monkeypatch.setenv("METRICS_TOKEN", "a-long-random-one")
    by_queue = run("shop/metrics_by_queue.py")["TASKWORKS"]
    settings.TASKWORKS = run("shop/metrics_settings.py")["TASKWORKS"] | by_queue
    answer = Client().get("/metrics", headers={"Authorization": "Bearer a-long-random-one"})
    shown = answer.content.decode().splitlines()[:3]
    assert shown == [
        "# HELP taskworks_scrape_ok Whether the metrics were just read; if not, they are those of "
        "an earlier scrape.",
        "# TYPE taskworks_scrape_ok gauge",
        "taskworks_scrape_ok 1.0",
    ]


@executes("shop/metrics_registry.py")
def test_the_collector_is_registered_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    run("shop/metrics_registry.py")
    assert "taskworks_scrape_ok" in registry._names_to_collectors


def test_the_reference_has_every_metric_with_its_labels() -> None:
    rows = dict(
        re.findall(r"^\| `(taskworks_\w+)` \| (.*) \|$", reference("metrics"), re.MULTILINE)
    )
    families: dict[str, Any] = {}
    for family in TaskworksCollector().describe():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        families[name] = family
    assert {*rows} == {*families}
    for name, family in families.items():
        if family.type == "gauge":
            named = re.findall(r"`(\w+)`", rows[name].partition(" | ")[0])
            assert tuple(named) == tuple(family._labelnames), name


def test_the_guide_has_every_alert() -> None:
    guide = (DOCS / "howto" / "monitor-with-prometheus.md").read_text()
    rules = resources.files("taskworks.prometheus").joinpath("alerts.yml").read_text()
    named = re.findall(r"^\| `(Taskworks\w+)` \|", guide, re.MULTILINE)
    assert named == re.findall(r"alert: (\w+)", rules)
