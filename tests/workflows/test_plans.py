"""What is asked of a workflow costs no more when there are many other runs."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from pytest_django import DjangoDbBlocker

from taskworks import Workflow, WorkflowResult
from taskworks.backends.workflows import Workflows
from taskworks.framework import default_task_backend
from taskworks.models import Edge, RunState, Step, TaskRun
from taskworks.models import Workflow as Row
from taskworks.store import Store
from taskworks.store import store as store_of
from tests.plans import assert_no_scan, plans
from tests.store.tidying import tidy
from tests.workflows.tasks import step

pytestmark = pytest.mark.django_db

OTHERS, MEMBERS = 2000, 300


@pytest.fixture(autouse=True)
def _database() -> None:
    """Instead of that of the other tests, which is emptied after each."""


@pytest.fixture(scope="module")
def workflow(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[UUID]:
    """One among many runs, and among many workflows."""
    with django_db_blocker.unblock():
        step.enqueue_many([["a"]] * OTHERS)
        TaskRun.objects.update(state=RunState.SUCCESSFUL, finished_at=store_of().read_clock())
        step.enqueue_many([["a"]] * OTHERS)
        for _ in range(200):
            _enqueue(1)
        result = _enqueue(MEMBERS)
        for model in (TaskRun, Row, Step, Edge):
            tidy(model)
        yield UUID(result.id)
        for model in (TaskRun, Row, Step, Edge):
            model.objects.all().delete()
            tidy(model)


def _enqueue(number: int) -> WorkflowResult:
    flow = Workflow("flow")
    for place in range(number):
        flow.add(str(place), step, str(place))
    flow.each("group", step, [["a"]] * number, after="0")
    return flow.enqueue()


def group_of(workflow: UUID) -> UUID:
    return Row.objects.get(parent=workflow).id


def test_whether_it_has_ended_is_found_by_the_index_of_its_members(
    store: Store, workflow: UUID
) -> None:
    for one in (workflow, group_of(workflow)):
        for plan in plans(lambda one=one: store.end_workflows([one]), "taskrun"):
            assert "taskworks_run_member" in plan
            assert_no_scan(plan)


def test_the_sweep_goes_on_by_keys(store: Store, workflow: UUID) -> None:
    some = [row.id for row in store.unfinished_workflows(None, 100)]
    for plan in plans(lambda: store.unfinished_workflows(some[-1], 100), "taskrun"):
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)


def test_members_are_counted_and_cancelled_by_their_index(store: Store, workflow: UUID) -> None:
    for plan in plans(lambda: store.count_members([workflow]), "COUNT"):
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)
    waiting = plans(lambda: store._some_members(workflow, RunState.READY, None), "taskrun")
    for plan in waiting:
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)


def test_results_are_read_by_their_index(workflow: UUID) -> None:
    values = Workflows(default_task_backend).return_values(workflow, "group")
    for plan in plans(lambda: [*values], "return_value"):
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)
