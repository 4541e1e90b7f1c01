"""
Ten processes, one of them frozen for a while and another with a wrong clock: each planned time is
fired once.

CI has a tenth of the planned times; TASKWORKS_TEST_FIRINGS says how many there are.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import Count

from taskworks.models import Firing, Schedule, TaskRun
from taskworks.store import store
from tests.faults.clock import moved_clock
from tests.faults.workers import where_the_database_is
from tests.freezing import freeze
from tests.schedules.bell import noop
from tests.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
PROCESSES = 10
PLANNED = int(os.environ.get("TASKWORKS_TEST_FIRINGS", "1000"))
TIMES = 5  # of each schedule
FROZEN_FOR = float(os.environ.get("TASKWORKS_TEST_FROZEN_SECONDS", "0"))
SECOND = timedelta(seconds=1)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(600),
]


@pytest.fixture
def schedulers(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []
    if not shutil.which("cc"):
        pytest.skip("a wrong clock takes a C compiler")
    for number in range(PROCESSES):
        wrong = moved_clock(tmp_path, 3600) if number == 1 else {}
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            **where_the_database_is(),
            **wrong,
        }
        begun.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.schedules.scheduling"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    yield begun
    for process in begun:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    for process in begun:
        process.wait(60)
        process.stdout.close()


def test_each_planned_time_is_fired_once(schedulers: list[subprocess.Popen[str]]) -> None:
    for process in schedulers:
        assert process.stdout.readline() == "up\n"
    frozen = schedulers[0]
    begin = store().read_clock().replace(microsecond=0) + 2 * SECOND
    Schedule.objects.bulk_create(
        Schedule(
            label=f"bell {number}",
            path=noop.module_path,
            cron="* * * * * *",
            timezone="UTC",
            start_running=begin,
            end_running=begin + TIMES * SECOND,
            catch_up=1000,
            next_run=begin,
            due_at=begin,
        )
        for number in range(PLANNED // TIMES)
    )
    wait_for(lambda: Firing.objects.count() > PLANNED // 10, "they begin to fire", 60)
    freeze(frozen.pid)
    stopped = time.monotonic()
    wait_for(lambda: not Schedule.objects.enabled().exists(), "the others go on without it", 300)
    while time.monotonic() - stopped < FROZEN_FOR:
        time.sleep(0.1)
    frozen.send_signal(signal.SIGCONT)
    fired = Counter(Firing.objects.values_list("schedule_id", "planned_at"))
    assert len(fired) == PLANNED
    assert max(fired.values()) == 1
    assert TaskRun.objects.count() == PLANNED
    runs = Firing.objects.values("run").annotate(times=Count("id"))
    assert runs.filter(times=1).count() == PLANNED
    planned = [begin + n * SECOND for n in range(TIMES)]
    assert {at for _, at in fired} == {*planned}
    assert all(process.poll() is None for process in schedulers)
    # What it was about to do when it was frozen comes to nothing: it does that before it ends.
    frozen.terminate()
    assert frozen.wait(60) == 0
    assert TaskRun.objects.count() == PLANNED
