"""What a real Prometheus makes of the metrics, the rules and each expression of the dashboard."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from taskworks.models import Firing, Schedule, TaskRun, Worker
from taskworks.prometheus import facts
from taskworks.prometheus.counted import COUNTERS, FINISHED_RUNS, RUN, WAIT
from taskworks.store import Store
from tests import tasks
from tests.client.absent import skip_or_fail
from tests.prometheus.conftest import TOKEN, Settings, scraped, without_statistics
from tests.prometheus.server import Prometheus, are_there, promtool, reading
from tests.rest.servers import under_wsgi
from tests.schedules.firing import scheduled
from tests.statistics.conftest import Flushed
from tests.waiting import wait_for

pytestmark = [pytest.mark.not_every_day, pytest.mark.any_database]

FILES = resources.files("taskworks.prometheus")
ALERTS, DASHBOARD = Path(str(FILES / "alerts.yml")), Path(str(FILES / "dashboard.json"))
OF_A_FAILED_SCRAPE = "TaskworksMetricsAreOld"
COUNTS = (
    ("attempts", 9),
    ("successful", 5),
    ("failed", 3),
    ("cancelled", 1),
    ("retried", 2),
    ("snoozed", 1),
    ("timed_out", 1),
    ("crashed", 1),
    ("rescued", 1),
    ("lost", 1),
)


@pytest.fixture(autouse=True)
def _programs() -> None:
    if not are_there():
        skip_or_fail("prometheus and promtool are not on the PATH")


def a_bad_night(store: Store, settings: Settings) -> None:
    """Something of each kind is wrong."""
    settings.TASKWORKS = {**settings.TASKWORKS, "HEARTBEAT_INTERVAL": 5, "WORKER_TIMEOUT": 30}
    options = {"QUEUE_OBJECTIVES": {"imports": {"start_within": 30}}}
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": options}}
    now = store.read_clock()
    ago = now - timedelta(minutes=10)
    waits = tasks.noop.using(queue_name="imports").enqueue()
    TaskRun.objects.filter(id=waits.id).update(available_at=ago)
    common = {"hostname": "h", "pid": 1, "started_at": now, "slots": {"thread": 4}, "busy": 1}
    mail = {"queues": ["mail"], **common}
    Worker.objects.create(label="living", heartbeat_at=now + timedelta(hours=1), **mail)
    Worker.objects.create(label="silent", heartbeat_at=ago, **mail)
    late = scheduled(label="nightly")
    succeeded = tasks.noop.enqueue()
    TaskRun.objects.filter(id=succeeded.id).update(state="successful", finished_at=ago)
    Firing.objects.create(schedule=late, planned_at=ago, fired_at=ago, run=succeeded.id)
    unable = {"error": "Its task cannot be imported."}
    Schedule.objects.filter(pk=late.pk).update(next_run=ago, due_at=ago, **unable)


def counted(flushed: Flushed) -> None:
    """What becomes of some runs."""
    flushed(
        "shop.tasks.send", took=[0.1, 2.0, 90.0], waits="-12:3,8:2", wait_sum=9.0, **dict(COUNTS)
    )


def expressions(node: Any) -> Iterator[str]:
    """Those of the dashboard, with Grafana's variables replaced."""
    if isinstance(node, dict):
        if isinstance(expression := node.get("expr"), str):
            chosen = re.sub(r"\$(job|queue|task)\b", ".*", expression)
            yield chosen.replace("$__rate_interval", "1m")
        node = list(node.values())
    for one in node if isinstance(node, list) else ():
        yield from expressions(one)


def test_promtool_finds_nothing_to_complain_about(
    store: Store, flushed: Flushed, settings: Settings
) -> None:
    a_bad_night(store, settings)
    counted(flushed)
    for text in (scraped(), _stale()):
        checked = promtool("check", "metrics", text=text)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    checked = promtool("check", "rules", str(ALERTS))
    assert checked.returncode == 0, checked.stderr


def _stale() -> str:
    with without_statistics():
        return scraped()


def test_each_expression_has_a_result_and_no_counter_falls_while_the_database_is_down(
    store: Store, flushed: Flushed, settings: Settings, tmp_path: Path
) -> None:
    a_bad_night(store, settings)
    counted(flushed)
    with under_wsgi() as served, reading(served.port, TOKEN, ALERTS, tmp_path) as prometheus:
        wait_until_scraped(prometheus)
        counted(flushed)
        wait_for(lambda: total(prometheus) == 18, "the counts have risen")
        dashboard = json.loads(DASHBOARD.read_text())
        found = {one: prometheus.query(one) for one in expressions(dashboard)}
        assert len(found) > 25
        assert [one for one, results in found.items() if not results] == []
        check_rules(prometheus, OF_A_FAILED_SCRAPE)
        check_variables(prometheus, dashboard)
        with without_statistics():
            wait_for(lambda: prometheus.value("taskworks_scrape_ok") == 0, "a scrape has failed")
            wait_for(lambda: OF_A_FAILED_SCRAPE in pending(prometheus), "the rule sees it")
            assert prometheus.value("sum(taskworks_runs)") == 1
            assert prometheus.value("last_over_time(taskworks_attempts_started_total[5m])") == 18
        counted(flushed)
        wait_for(lambda: total(prometheus) == 27, "the counts have risen again")
        for name in (*COUNTERS, FINISHED_RUNS):
            assert prometheus.value(f"sum(resets({name}_total[5m]))") == 0, name
        for name in (WAIT, RUN):
            assert prometheus.value(f"sum(resets({name}_bucket[5m]))") == 0, name
        assert prometheus.value("min_over_time(up[5m])") == 1


def wait_until_scraped(prometheus: Prometheus) -> None:
    wait_for(lambda: prometheus.value("taskworks_scrape_ok") == 1, "the metrics were scraped")


def total(prometheus: Prometheus) -> float | None:
    return prometheus.value("taskworks_attempts_started_total")


def pending(prometheus: Prometheus) -> set[str]:
    """The alerts that are pending or firing."""
    [group] = prometheus.get("rules")["groups"]
    return {rule["name"] for rule in group["rules"] if rule["state"] != "inactive"}


def check_rules(prometheus: Prometheus, *but: str) -> None:
    """Each of them is evaluated without an error, and has found something."""
    [group] = prometheus.get("rules")["groups"]
    names = {rule["name"] for rule in group["rules"]}
    wait_for(lambda: pending(prometheus) == names - {*but}, f"{names} have found something")
    [group] = prometheus.get("rules")["groups"]
    assert {rule.get("lastError") for rule in group["rules"]} <= {None, ""}
    mirrored = {problem for rule in group["rules"] if (problem := rule["labels"].get("problem"))}
    assert mirrored <= {rule.id for rule in facts.RULES}


def check_variables(prometheus: Prometheus, dashboard: Any) -> None:
    """Each variable has values."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
            assert match
            series = re.sub(r"\$\w+", ".*", match[1])
            assert {one["metric"].get(match[2]) for one in prometheus.query(series)} - {None}
