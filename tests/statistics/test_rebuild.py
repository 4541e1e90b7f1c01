"""Rebuilt from the record, finished totals are those of the record, or larger."""

import json
from collections import Counter
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from taskworks.models import Duty, Statistic, TaskRun
from taskworks.models.statistic import EVER, HOUR, MINUTE, OF_SERIES, TEN_MINUTES
from taskworks.statistics import reading
from taskworks.statistics.places import MAX_SERIES
from taskworks.statistics.rebuild import rebuild
from taskworks.statistics.tally import FINISHED
from taskworks.store import Store
from tests import tasks
from tests.behavior import run_worker
from tests.connections import held_elsewhere
from tests.statistics.conftest import Flushed, counted, of_tasks, sums


def taskworks(*arguments: Any) -> str:
    output = StringIO()
    call_command("taskworks", *map(str, arguments), stdout=output)
    return output.getvalue()


def finish_some(store: Store, ago: timedelta = timedelta(hours=1)) -> None:
    """Have runs succeed, fail and be cancelled, a while ago."""
    for _ in range(3):
        tasks.noop.enqueue()
    tasks.fail.enqueue()
    tasks.fail.using(max_attempts=2, backoff=0).enqueue()
    run_worker()
    tasks.noop.enqueue().cancel()
    moved = {"finished_at": store.read_clock() - ago, "last_attempted_at": None}
    TaskRun.objects.all().update(**moved)


def recorded() -> dict[str, int]:
    return dict(Counter(TaskRun.objects.finished().values_list("state", flat=True)))


def finished(store: Store) -> dict[str, int]:
    return {name: count for name, count in counted(store).items() if name in FINISHED}


def test_finished_totals_are_those_of_the_record(store: Store, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    finish_some(store)
    assert rebuild(store) == (6, 6)
    assert finished(store) == recorded() == {"successful": 3, "failed": 2, "cancelled": 1}
    for seconds in (EVER, MINUTE, TEN_MINUTES, HOUR):
        rows = Statistic.objects.filter(seconds=seconds, level=OF_SERIES)
        assert sum(row.successful for row in rows) == 3
    assert {*sums(store).values()} == {3}
    assert rebuild(store) == (6, 0)
    assert finished(store) == recorded()


def test_what_its_period_does_not_tell_apart_is_added_once(
    store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    for seconds in MAX_SERIES:
        monkeypatch.setitem(MAX_SERIES, seconds, 2)
    finish_some(store)
    runs = TaskRun.objects.finished().count()
    for number, run in enumerate(TaskRun.objects.all()):
        TaskRun.objects.filter(id=run.id).update(queue_name=f"queue {number}")
    assert rebuild(store) == (runs, runs)
    assert finished(store) == recorded()
    of_everything = sums(store)
    assert rebuild(store) == (runs, 0)
    assert finished(store) == recorded()
    assert sums(store) == of_everything
    for seconds in (EVER, MINUTE, TEN_MINUTES, HOUR):
        rows = Statistic.objects.filter(seconds=seconds, level=OF_SERIES)
        assert sum(row.successful for row in rows) == recorded()["successful"]


def test_what_a_killed_worker_had_not_written_is_added_and_the_rest_is_not_twice(
    store: Store, flushed: Flushed
) -> None:
    finish_some(store)
    Statistic.objects.all().delete()
    flushed("tests.tasks.noop", ago=3600, queue_name="default", successful=2, attempts=2)
    assert rebuild(store) == (6, 4)
    assert finished(store) == recorded()


def test_totals_of_pruned_runs_stay(store: Store, flushed: Flushed) -> None:
    flushed("tests.tasks.noop", ago=3600, queue_name="default", successful=1000, retried=7)
    finish_some(store)
    Statistic.objects.filter(successful__lt=1000, seconds=10).delete()
    before = of_tasks(store)["tests.tasks.noop"]
    rebuild(store)
    assert before == of_tasks(store)["tests.tasks.noop"] == 1000
    assert counted(store)["retried"] == 7
    assert "stay as they are" in taskworks("statistics", "rebuild")


def test_what_has_just_finished_is_left_to_its_worker(store: Store) -> None:
    tasks.noop.enqueue()
    run_worker()
    assert rebuild(store) == (0, 0)
    assert counted(store) == {"attempts": 1, "successful": 1}


def test_durations_are_those_of_the_last_attempts(store: Store, settings: Any) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "STATISTICS": False}
    tasks.noop.enqueue()
    run_worker()
    ended = store.read_clock() - timedelta(hours=1)
    TaskRun.objects.update(
        finished_at=ended,
        last_attempted_at=ended - timedelta(seconds=8),
        available_at=ended - timedelta(seconds=40),
    )
    rebuild(store)
    [tally] = reading.totals(store).values()
    assert (tally.run_sum, tally.wait_sum) == (pytest.approx(8), pytest.approx(32))
    assert tally.runs.quantile(0.5) == pytest.approx(8, rel=0.2)


def test_it_waits_for_nobody(store: Store, flushed: Flushed) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time.")
    finish_some(store)
    rebuild(store)

    def hold() -> None:
        Duty.objects.select_for_update().get(name="bookkeeping")

    with held_elsewhere(hold), pytest.raises(CommandError, match="Try again") as error:
        taskworks("statistics", "rebuild")
    assert error.value.returncode == 1


def test_the_command_shows_each_task(store: Store, flushed: Flushed) -> None:
    assert taskworks("statistics") == "Nothing was counted.\n"
    flushed("a.b", successful=3, failed=1, attempts=4, took=[0.01, 0.01, 0.01, 90.0])
    flushed("it's\n\x1b[31m", cancelled=1)
    head, *lines = taskworks("statistics").splitlines()
    assert head.startswith("TASK")
    assert lines[0].split()[:3] == ["a.b", "3", "1"]
    assert lines[1].startswith("it's\\n\\x1b[31m")
    told = json.loads(taskworks("statistics", "--hours", 24, "--json"))
    assert told[0]["successful"] == 3
    assert told[0]["run_p50"] == pytest.approx(0.01, rel=0.2)
    with pytest.raises(CommandError, match="positive integer"):
        taskworks("statistics", "--hours", 0)
