"""The relatives of a run, found near it."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from taskworks.dashboard.runs import relations
from taskworks.dashboard.runs.relations import relatives_of, strip_of
from taskworks.models import RunState, TaskRun
from taskworks.store import store

pytestmark = pytest.mark.django_db


def uuid7(number: int) -> UUID:
    """An id that is younger than that with a smaller number."""
    return UUID(f"01a1f8df-5ec6-7cde-b965-{number:012x}")


def a_run(**columns: Any) -> TaskRun:
    now = store().read_clock()
    given = {
        "backend": "default",
        "queue_name": "default",
        "task_path": "shop.tasks.pay",
        "state": RunState.SUCCESSFUL,
        "enqueued_at": now,
        "available_at": now,
        "last_attempted_at": now,
        "finished_at": now,
        **columns,
    }
    return TaskRun.objects.create(**given)


def test_parent_children_and_others_of_the_request() -> None:
    parent = a_run(metadata={"correlation_id": "r-ü%_1"})
    other = a_run(metadata={"correlation_id": "r-üxx1"})
    run = a_run(metadata={"taskworks.parent": str(parent.id), "correlation_id": "r-ü%_1"})
    child = a_run(metadata={"taskworks.parent": str(run.id)})
    a_run(metadata={"note": f'"taskworks.parent":"{run.id}"'})  # only says so

    relatives = relatives_of(store(), run)

    assert relatives.parent == parent
    assert relatives.children == [child]
    assert relatives.of_request == [parent]
    assert relatives.correlation_id == "r-ü%_1"
    assert relatives_of(store(), other).of_request == []


def test_relatives_far_away_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "SEARCHED", 2)
    of_request = {"correlation_id": "r"}
    far, near, _, run = (a_run(id=uuid7(n), metadata=of_request) for n in range(4))
    TaskRun.objects.filter(id=uuid7(2)).update(metadata={})

    assert relatives_of(store(), run).of_request == [near]
    assert strip_of(store(), far) == [TaskRun.objects.get(id=uuid7(2)), run]


def test_a_parent_that_is_gone_and_metadata_of_others() -> None:
    gone = a_run()
    run = a_run(metadata={"taskworks.parent": str(gone.id), "correlation_id": {"a": 1}})
    gone_id = gone.id
    gone.delete()

    relatives = relatives_of(store(), run)

    assert (relatives.parent, relatives.parent_id) == (None, gone_id)
    assert relatives.correlation_id == "{'a': 1}"
    TaskRun.objects.filter(id=run.id).update(metadata=json.loads('[1, "x"]'))
    assert relatives_of(store(), TaskRun.objects.get(id=run.id)).children == []


def test_the_strip_has_runs_of_the_same_task() -> None:
    now = store().read_clock()
    runs = [a_run(id=uuid7(n), finished_at=now + timedelta(seconds=n)) for n in range(3)]
    a_run(task_path="shop.tasks.other")
    of_schedule = a_run(id=uuid7(3), callable_path="shop.clean")

    assert strip_of(store(), runs[0]) == [*runs, of_schedule]
    assert strip_of(store(), of_schedule) == [of_schedule]
