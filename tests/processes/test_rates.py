"""Real workers that share a rate, one of which is killed."""

import signal
from collections.abc import Callable

from taskworks.actions import limits
from taskworks.models import TaskRun, Worker
from taskworks.options.rates import rate_of
from tests import rated
from tests.processes.conftest import WATCHFUL, WorkerProcess
from tests.waiting import wait_for
from tests.windows import excess

StartWorker = Callable[..., WorkerProcess]


def test_no_window_has_too_many_claims_although_a_worker_is_killed(
    start_worker: StartWorker,
) -> None:
    limits.synchronize()
    first = start_worker(**WATCHFUL).wait_until_up()
    start_worker(**WATCHFUL).wait_until_up()
    rated.call_api.enqueue_many([["a"]] * 60)
    wait_for(lambda: TaskRun.objects.successful().count() > 10, "the rate is used")
    first.send(signal.SIGKILL)
    first.wait()
    dead = Worker.objects.filter(pid=first.process.pid)
    lost = TaskRun.objects.in_hand().filter(claimed_by__in=dead.values("id"))
    moments = [*lost.values_list("claimed_at", flat=True)]
    wait_for(lambda: TaskRun.objects.successful().count() == 60, "all have ended")
    moments += TaskRun.objects.values_list("claimed_at", flat=True)
    rate = rate_of(rated.API.rate, rated.API.burst)
    assert rate
    assert excess(moments, rate) <= 0
