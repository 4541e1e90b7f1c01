"""A connection that is cut off while it is made: Django tells nobody of it, and keeps it."""

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from taskworks import task_backends
from taskworks.execution.task_connections import leave_connections, tidy_connections
from taskworks.models import TaskRun
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.pools import Sizes
from tests import tasks
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

Cut = Callable[[str], None]


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Cut:
    """Have the next connection of a thread whose name is like this break before it is ready."""
    kind = type(connections["default"])
    whole, names = kind.init_connection_state, []

    def broken(self: Any) -> None:
        whole(self)
        if names and re.fullmatch(names[-1], threading.current_thread().name):
            names.pop()
            self.connection.close()
            with self.wrap_database_errors:
                raise self.Database.OperationalError("cut off")

    monkeypatch.setattr(kind, "init_connection_state", broken)
    return names.append


@pytest.mark.parametrize("mend", [tidy_connections, leave_connections])
def test_the_machinery_makes_another(cut_off: Cut, mend: Callable[[], None]) -> None:
    cut_off(".*")

    def count() -> int:
        mend()  # there is nothing to mend yet, and it remembers that
        with pytest.raises(OperationalError, match="cut off"):
            connections["default"].ensure_connection()
        mend()
        return TaskRun.objects.count()

    assert elsewhere(count) == 0


def test_the_next_task_of_its_thread_has_another(cut_off: Cut) -> None:
    cut_off(r"taskworks-\d+")
    results = [tasks.count_runs.enqueue() for _ in range(3)]
    options = Options(queues=Queues(), batch=True, interval=0.02, sizes=Sizes(threads=1))
    Worker(task_backends["default"], options).run()
    runs = [TaskRun.objects.get(id=result.id) for result in results]
    assert [run.state for run in runs] == ["failed", "successful", "successful"]
    assert "cut off" in runs[0].errors[0]["traceback"]


def test_the_machinery_commits_where_the_project_does_so_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "AUTOCOMMIT", False)
    connections["default"].close()
    try:
        result = tasks.noop.enqueue()
        transaction.commit()
        options = Options(queues=Queues(), batch=True, interval=0.02)
        Worker(task_backends["default"], options).run()
        transaction.rollback()  # to see what others have committed
        assert TaskRun.objects.get(id=result.id).state == "successful"
    finally:
        transaction.rollback()
        connections["default"].close()
