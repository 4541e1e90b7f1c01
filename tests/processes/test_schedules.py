"""Schedules and workers as processes."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

from taskworks.models import RunState, Schedule, TaskRun
from tests.processes.conftest import WorkerProcess
from tests.waiting import wait_for

SECOND = timedelta(seconds=1)
TICKING = {"DJANGO_SETTINGS_MODULE": "tests.processes.ticking.settings"}


def test_what_code_declares_is_fired_by_all_workers_and_once(
    start_worker: Callable[..., WorkerProcess],
) -> None:
    workers = [start_worker(**TICKING) for _ in range(2)]
    for worker in workers:
        worker.wait_until_up()
    ticks = TaskRun.objects.filter(state=RunState.SUCCESSFUL)
    wait_for(lambda: ticks.count() >= 3, "it ticks")
    schedule = Schedule.objects.get()
    assert (schedule.label, schedule.error) == ("tests.processes.ticking.tasks.tick", "")
    planned = [*schedule.firings.order_by("planned_at").values_list("planned_at", flat=True)]
    assert planned[0] == schedule.created_at + SECOND
    assert {later - earlier for earlier, later in itertools.pairwise(planned)} == {SECOND}
    assert {datetime.fromisoformat(run.return_value) for run in ticks} <= {*planned}
