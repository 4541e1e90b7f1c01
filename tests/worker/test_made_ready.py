"""A worker looks at once for runs that its own heartbeat has unblocked."""

from typing import Any

import pytest

from taskworks import task_backends
from taskworks.duties.unblock import Followers
from taskworks.models import TaskRun
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.claiming import NoWakeUps, poll_schedule
from tests import tasks
from tests.connections import begin_elsewhere
from tests.waiting import wait_for

RARELY = 600.0

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_that_the_heartbeat_unblocked_begins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a sweep has locked the edges at the moment when the worker unblocks followers."""
    monkeypatch.setattr(Followers, "unblock", lambda self: False)
    monkeypatch.setattr(poll_schedule, "MIN_POLL_INTERVAL", RARELY)
    backend = task_backends["default"]
    first = tasks.noop.enqueue()
    backend.enqueue_after(tasks.noop, (), {}, after=first)
    worker = Worker(backend, Options(queues=Queues(), interval=RARELY), make_wake_ups=deaf)
    working = begin_elsewhere(worker.run)
    try:
        wait_for(lambda: TaskRun.objects.successful().count() == 2, "both have been executed")
    finally:
        worker.stop()
        working.result(timeout=60)


def deaf(*args: Any, **options: Any) -> NoWakeUps:
    """Nothing else tells the worker of new runs."""
    return NoWakeUps()
