"""Whatever isolation level a project has, nothing is added to a workflow that has ended."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection, transaction

from taskworks import Workflow, WorkflowResult
from taskworks.duties.workflows import look_after_all
from taskworks.exceptions import WorkflowFinished
from taskworks.models import RunState, TaskRun
from taskworks.store import Store
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


@pytest.mark.parametrize("level", LEVELS.get(connection.vendor, []))
def test_a_cancel_that_does_not_see_what_was_added_does_not_end_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, level: Any
) -> None:
    flow = Workflow("grows")
    flow.add("a", step, "a")
    result = flow.enqueue()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", level)
    try:
        elsewhere(lambda: cancel_after(result, lambda: result.add("b", step, "b")))
    except OperationalError:  # PostgreSQL: "could not serialize access"
        return
    result.refresh()
    assert result.status == "stopping"
    assert result.counts() == {"cancelled": 1, "ready": 1}
    monkeypatch.undo()
    look_after_all(store)
    result.refresh()
    assert result.status == "cancelled"
    assert result.counts() == {"cancelled": 2}


@pytest.mark.parametrize("level", LEVELS.get(connection.vendor, []))
def test_a_cancel_that_does_not_see_a_claim_does_not_end_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, level: Any
) -> None:
    flow = Workflow("begins")
    flow.add("a", step, "a")
    flow.add("b", step, "b", after="a")
    result = flow.enqueue()
    ready = TaskRun.objects.filter(state="ready")
    claimed = {"state": RunState.RUNNING, "claim_token": uuid4()}
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", level)
    with suppress(OperationalError):  # PostgreSQL: "could not serialize access"
        elsewhere(lambda: cancel_after(result, lambda: ready.update(**claimed)))
    monkeypatch.undo()
    look_after_all(store)
    result.refresh()
    assert not result.is_finished
    assert result.counts()["running"] == 1


def cancel_after(result: WorkflowResult, change: Callable[[], Any]) -> None:
    """Cancel a workflow in a transaction that sees the record as it was before a change."""
    with transaction.atomic():
        assert result.counts()
        elsewhere(change)
        assert result.cancel()
