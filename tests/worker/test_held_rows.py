"""Another session holds a row: who looks at it looks no more often than it must."""

from datetime import timedelta

import pytest

from taskworks import task_backends
from taskworks.models import TaskRun
from taskworks.store import Store, store
from taskworks.worker import Options, Queues, Worker
from tests import tasks
from tests.connections import begin_elsewhere, held_elsewhere
from tests.settings import DATABASE
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(DATABASE == "sqlite", reason="SQLite locks no rows"),
]


def test_a_due_run_that_somebody_holds_is_tried_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []
    promote = Store.promote
    monkeypatch.setattr(
        Store, "promote", lambda self, limit: tries.append(limit) or promote(self, limit)
    )
    result = tasks.noop.using(run_after=timedelta(seconds=0.2)).enqueue()
    row = TaskRun.objects.filter(id=result.id)
    worker = Worker(task_backends["default"], Options(queues=Queues(), interval=0.5))
    with held_elsewhere(lambda: list(row.select_for_update())):
        began = store().read_clock()
        running = begin_elsewhere(worker.run)
        wait_for(
            lambda: store().read_clock() - began > timedelta(seconds=2), "it has tried for a while"
        )
        tried = len(tries)
    try:
        wait_for(lambda: row.get().state == "successful", "it is executed")
    finally:
        worker.stop()
        running.result(timeout=30)
    assert 1 <= tried <= 20
