"""What a task leaves in a connection's wrapper, such as a tenant's schema, ends with it."""

from typing import Any

import pytest
from django.db import connection, connections, transaction

from taskworks import TaskResult, task, task_backends
from taskworks.execution.connection_state import is_same, state_of, state_of_new
from taskworks.models import TaskRun
from taskworks.testing import run_tasks
from taskworks.worker import Options, Queues, Worker
from taskworks.worker.pools import Sizes
from tests.connections import elsewhere

pytestmark = pytest.mark.django_db(transaction=True)


def counting(execute: Any, *given: Any) -> Any:
    """Wrap a statement."""
    return execute(*given)


def use(*, queries: bool) -> str | None:
    """Query as the tenant that is set, if any."""
    if queries:
        TaskRun.objects.exists()
    return getattr(connections["default"], "schema_name", None)


@task
def enter(schema: str, *, queries: bool, fails: bool = False) -> str | None:
    """As django-tenants does it."""
    before = use(queries=queries)
    connections["default"].schema_name = schema
    use(queries=queries)
    if fails:
        raise ValueError(schema)
    return before


@task
def wrap() -> int:
    wrappers = connections["default"].execute_wrappers
    before = len(wrappers)
    wrappers.append(counting)
    TaskRun.objects.exists()
    return before


@task
def which_connection() -> int:
    TaskRun.objects.exists()
    return id(connections["default"].connection)


def ended(*results: TaskResult) -> list[TaskRun]:
    """Executed by the only thread of a worker."""
    options = Options(queues=Queues(), batch=True, interval=0.02, sizes=Sizes(threads=1))
    Worker(task_backends["default"], options).run()
    return [TaskRun.objects.get(id=result.id) for result in results]


@pytest.fixture(params=[0, None], ids=["closed", "kept"])
def _age(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", request.param)


@pytest.mark.usefixtures("_age")
@pytest.mark.parametrize("fails", [False, True])
def test_a_schema_is_not_that_of_the_next_task(*, fails: bool) -> None:
    results = [enter.enqueue(name, queries=True, fails=fails) for name in "abc"]
    runs = ended(*results, enter.enqueue("d", queries=True))
    assert [run.return_value for run in runs] == [None] * 4


def test_of_another_engine_not_even_without_a_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskworks.execution.task_connections._has_djangos_engines", bool)
    runs = ended(*[enter.enqueue(name, queries=False) for name in "abc"])
    assert [run.return_value for run in runs] == [None] * 3


@pytest.mark.usefixtures("_age")
def test_wrappers_of_statements_neither() -> None:
    runs = ended(*[wrap.enqueue() for _ in range(3)])
    assert [run.return_value for run in runs] == [0, 0, 0]


def test_a_connection_that_is_as_it_was_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", None)
    runs = ended(*[which_connection.enqueue() for _ in range(3)])
    assert len({run.return_value for run in runs}) == 1


def test_a_test_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "schema_name", "mine", raising=False)
    enter.enqueue("mine", queries=True)
    run_tasks()
    assert connection.schema_name == "mine"


def test_what_django_does_with_a_connection_is_no_change() -> None:
    def change() -> bool:
        mine = connections["default"]
        with transaction.atomic(), transaction.atomic():
            TaskRun.objects.filter(enqueued_at__year=2026).exists()
            transaction.on_commit(bool)
        assert mine.timezone
        assert mine.timezone_name
        assert mine.get_database_version()
        assert mine.data_types
        mine.close()
        TaskRun.objects.exists()
        return is_same(state_of_new("default"), state_of(mine))

    assert elsewhere(change)
