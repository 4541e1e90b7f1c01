"""Whatever isolation level a project has, nothing is added to a workflow that has ended."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from taskworks import Workflow, WorkflowResult
from taskworks.exceptions import WorkflowFinished
from taskworks.models import TaskRun
from tests.connections import elsewhere
from tests.workflows.conftest import Work
from tests.workflows.tasks import step

pytestmark = pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite has one writer, which sees everything."
)

# Not SERIALIZABLE: there, MySQL and MariaDB let nobody write what a transaction has read.
LEVELS: dict[str, list[Any]] = {"postgresql": [3, 4], "mysql": ["repeatable read"]}
REFUSED = (WorkflowFinished, OperationalError)  # PostgreSQL: "could not serialize access"


@pytest.mark.parametrize("level", LEVELS.get(connection.vendor, []))
@pytest.mark.parametrize("how", ["executed", "cancelled"])
def test_a_transaction_that_began_before_the_end(
    work: Work, monkeypatch: pytest.MonkeyPatch, level: Any, how: str
) -> None:
    flow = Workflow("ends")
    flow.add("a", step, "a")
    result = flow.enqueue()
    ends: dict[str, Callable[[], Any]] = {"executed": work, "cancelled": result.cancel}
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", level)
    with pytest.raises(REFUSED):
        elsewhere(lambda: add_after(result, ends[how]))
    assert TaskRun.objects.count() == 1


def add_after(result: WorkflowResult, end: Callable[[], Any]) -> None:
    with transaction.atomic():
        assert not result.is_finished
        assert TaskRun.objects.count() == 1  # from now on, the transaction sees what is there now
        elsewhere(end)
        result.add("b", step, "b")
