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
from tests.store.rows_read import rows_read
from tests.store.tidying import tidy
from tests.workflows.tasks import step

pytestmark = pytest.mark.django_db

OTHERS, MEMBERS = 2000, 300
MANY_GROUPS = [
    (f"{number} {outcome}", number, outcome)
    for outcome in (RunState.SUCCESSFUL, RunState.FAILED)
    for number in (10, 2000)
]


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
        for name, number, outcome in MANY_GROUPS:
            _enqueue_groups(name, number, outcome)
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


def _enqueue_groups(name: str, number: int, outcome: RunState) -> None:
    """A workflow with so many groups that have ended like this, and one that goes on."""
    now = store_of().read_clock()
    flow = Row.objects.create(name=name, backend="default", created_at=now, closed_at=now)
    group = {"kind": "group", "name": "group", "backend": "default", "parent": flow.id}
    group |= {"created_at": now, "closed_at": now}
    ended = {**group, "finished_at": now, "outcome": outcome}
    Row.objects.bulk_create(Row(**ended) for _ in range(number))
    Row.objects.create(**group)


def group_of(workflow: UUID) -> UUID:
    return Row.objects.get(parent=workflow).id


def test_whether_it_has_ended_is_found_by_the_index_of_its_members(
    store: Store, workflow: UUID
) -> None:
    for one in (workflow, group_of(workflow)):
        for plan in plans(lambda one=one: store.end_workflows([one]), "taskrun"):
            assert "taskworks_run_member" in plan
            assert_no_scan(plan)


@pytest.mark.parametrize("outcome", [RunState.SUCCESSFUL, RunState.FAILED])
def test_the_end_of_a_group_costs_no_more_after_many_others(
    store: Store, workflow: UUID, outcome: RunState
) -> None:
    """Each end asks whether another group goes on, and whether something has failed."""

    def cost(name: str) -> int:
        parent = Row.objects.get(name=name).id

        def end() -> None:
            assert store.end_workflows([parent]).finished == []
            assert len(store.hopeless_within(parent)) == 1
            row = store.unfinished_workflow(parent)
            assert row.has_failed == (outcome == RunState.FAILED)

        for plan in plans(end, "taskworks_workflow", "parent"):
            assert "taskworks_workflow_within" in plan
        return rows_read(end)

    few, many = (cost(name) for name, _, its in MANY_GROUPS if its == outcome)
    assert many < 2 * few


def test_the_sweep_goes_on_by_keys(store: Store, workflow: UUID) -> None:
    some = [row.id for row in store.unfinished_workflows(None, 100)]
    for plan in plans(lambda: store.unfinished_workflows(some[-1], 100), "taskrun"):
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)


def test_a_list_is_read_by_the_index_of_those_without_a_parent(
    store: Store, workflow: UUID
) -> None:
    newest = store.workflows.filter(parent=None).order_by("-id")[:50]
    [plan] = plans(lambda: [*newest], "taskworks_workflow")
    assert "taskworks_workflow_parent" in plan
    assert_no_scan(plan, "workflow")


def test_members_are_counted_and_cancelled_by_their_index(store: Store, workflow: UUID) -> None:
    for plan in plans(lambda: store.count_members([workflow]), "COUNT"):
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)
    waiting = plans(lambda: store._some_members(workflow, RunState.READY, None, 1000), "taskrun")
    for plan in waiting:
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)


def test_results_are_read_by_their_index(workflow: UUID) -> None:
    values = Workflows(default_task_backend).return_values(workflow, "group")
    for plan in plans(lambda: [*values], "return_value"):
        assert "taskworks_run_member" in plan
        assert_no_scan(plan)
