"""Runs that fail, workers that are dead or outdated, schedules that do not fire."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from taskworks.models import Schedule, Statistic, TaskRun
from taskworks.models.statistic import MINUTE
from taskworks.problems import Severity, of_workers
from taskworks.problems.of_runs import MAX_TOLD
from taskworks.statistics.compaction import unix_time
from taskworks.store import Store
from tests.problems.conftest import Enqueue, Register, asked, the_one
from tests.statistics.conftest import Flushed

pytestmark = pytest.mark.usefixtures("time_stands_still")


def test_a_task_of_whose_runs_many_fail(flushed: Flushed, settings: Any) -> None:
    flushed("shop.charge", ago=300, successful=60, failed=20, queue_name="a")
    flushed("shop.charge", ago=30, successful=23, failed=17, queue_name="b")
    flushed("shop.rare", ago=30, successful=0, failed=9)
    flushed("shop.fine", ago=30, successful=990, failed=10)
    flushed("shop.past", ago=1800, failed=400)
    assert the_one("failing_task").sentence == (
        "37 of the 120 runs of shop.charge that ended in the last 15 minutes have failed (31%)."
    )
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    assert asked("failing_task") == []


def test_runs_that_killed_their_processes(store: Store, enqueue: Enqueue) -> None:
    enqueue(4)
    now = store.read_clock()
    ids = [run.id for run in TaskRun.objects.order_by("id")]
    failed = TaskRun.objects.filter(id__in=ids[:3])
    failed.update(state="failed", finished_at=now, crashes=3)
    failed.filter(id=ids[0]).update(crashes=1)
    failed.filter(id=ids[1]).update(finished_at=now - timedelta(hours=30))
    problem = the_one("poison")
    assert problem.sentence == (
        "1 run of tests.tasks.noop failed in the last 24 hours after killing the process 3 times "
        f"each; the latest is {ids[2]}."
    )
    assert f"manage.py taskworks show {ids[2]}" in problem.remedy


def test_a_worker_that_seems_dead(register: Register, enqueue: Enqueue) -> None:
    register("well")
    dead = register("web-1", ago=372)
    enqueue(1)
    TaskRun.objects.update(state="running", claimed_by=dead.id)
    problem = the_one("silent_worker")
    assert problem.severity is Severity.CRITICAL
    assert problem.sentence == (
        "The worker web-1 (here, pid 7) seems to be dead: silent for 6 min 12 s; its 1 run comes "
        "back when another worker has lived 30 s."
    )


def test_workers_of_an_old_release(register: Register) -> None:
    for number in range(2):
        register(f"old-{number}", started=9000 - number, release="v11", version="1.0")
    register("new", started=500, release="v12", version="1.0")
    assert asked("worker_of_another_release") == []  # they are being restarted, one by one
    register("new too", started=1000, release="v12", version="1.0")
    problem = the_one("worker_of_another_release")
    assert problem.sentence == (
        "2 living workers run the release 'v11' with Taskworks 1.0, although the release 'v12' "
        "with Taskworks 1.0 has been running for 16 min 40 s: old-0, old-1."
    )


def test_more_threads_than_connections(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    register("wide")
    register("narrow", slots={"thread": 2})
    assert asked("pool_too_small") == []
    monkeypatch.setattr(of_workers, "pool_size", lambda connection: 3)
    assert the_one("pool_too_small").sentence == (
        "The worker wide executes 4 functions at once and 9 coroutine functions, whose connections "
        "to the database 'default' come from a pool of 3."
    )


@pytest.mark.parametrize(
    ("vendor", "options", "size"),
    [
        ("postgresql", {}, None),
        ("postgresql", {"pool": True}, 4),
        ("postgresql", {"pool": {"min_size": 6}}, 6),
        ("postgresql", {"pool": {"min_size": 2, "max_size": 9}}, 9),
        ("mysql", {"pool_name": "ours"}, 5),
        ("mysql", {"pool_size": 7}, 7),
        ("sqlite", {"timeout": 5}, None),
    ],
)
@pytest.mark.any_database
def test_how_many_connections_a_pool_has(
    vendor: str, options: dict[str, Any], size: int | None
) -> None:
    settings = {**connection.settings_dict, "OPTIONS": options}
    other = type(connections["default"])(settings, "default")
    other.vendor = vendor
    assert of_workers.pool_size(other) == size


def test_schedules_that_do_not_fire(store: Store, register: Register) -> None:
    for label in ("nightly", "unable", "unplanned", "off", "fine"):
        Schedule.objects.create(
            label=label,
            path="tests.tasks.noop",
            interval=timedelta(hours=1),
            enabled=label != "off",
        )
    now = store.read_clock()
    Schedule.objects.filter(label__in=["nightly", "off"]).update(due_at=now - timedelta(minutes=5))
    Schedule.objects.filter(label="fine").update(due_at=now + timedelta(minutes=5))
    Schedule.objects.filter(label="unable").update(
        error="It is gone.", due_at=now + timedelta(minutes=5)
    )
    Schedule.objects.filter(label="unplanned").update(
        due_at=Schedule._meta.get_field("due_at").get_default()
    )
    unplanned, nightly = asked("schedule_late")
    assert nightly.sentence.startswith("The schedule 'nightly' is 5 min")
    assert nightly.sentence.endswith("late. No worker lives.")
    assert "'unplanned' is enabled, and no worker has planned it." in unplanned.sentence
    register()
    assert all("No worker lives" not in problem.sentence for problem in asked("schedule_late"))
    assert the_one("schedule_unable").sentence == ("The schedule 'unable' cannot fire: It is gone.")


def test_of_2000_tasks_the_worst_are_named(store: Store) -> None:
    now = unix_time(store)
    Statistic.objects.bulk_create(
        Statistic(
            id=uuid4(),
            seconds=MINUTE,
            since=now // MINUTE * MINUTE - 2 * MINUTE,
            backend="default",
            queue_name="mail",
            task_path=f"tenant{number}.send",
            successful=10,
            failed=11 + number,
        )
        for number in range(2000)
    )
    with CaptureQueriesContext(connection) as captured:
        problems = asked("failing_task")
    assert len(captured) <= 12
    assert len(problems) == MAX_TOLD
    assert problems[0].sentence.startswith("2,010 of the 2,020 runs of tenant1999.send")
