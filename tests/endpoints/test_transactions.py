"""A run exists if and only if the request's transaction commits; then so does its resource."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction
from rest_framework.test import APIClient

from taskworks import default_task_backend
from taskworks.models import Edge, TaskRun
from taskworks.store import Store
from taskworks.worker import Options, Queues, Worker
from tests.endpoints.conftest import Settings
from tests.endpoints.models import Event, Order
from tests.waiting import wait_for

Events = Callable[[], list[str]]


@pytest.mark.usefixtures("atomic_requests")
@pytest.mark.parametrize(("query", "status"), [("", 500), ("?conflict", 409)])
def test_nothing_is_left_of_a_request_that_fails(
    client: APIClient, order: Order, query: str, status: int
) -> None:
    assert client.post(f"/Fails/A7/{query}").status_code == status
    assert not TaskRun.objects.exists()
    assert Order.objects.get().note == "please"


@pytest.mark.usefixtures("atomic_requests")
def test_no_blocked_run_either(
    client: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.endpoints.orders.Chained.accepted", lambda self: 1 / 0)
    assert client.post("/Chained/A7/").status_code == 500
    assert not TaskRun.objects.exists()
    assert not Edge.objects.exists()


def test_without_a_transaction_the_run_is_there(client: APIClient, order: Order) -> None:
    """The opposite case, which shows that the test above can fail."""
    assert client.post("/Fails/A7/").status_code == 500
    assert TaskRun.objects.ready().count() == 1
    assert Order.objects.get().note == "changed"


@pytest.mark.usefixtures("atomic_requests")
def test_the_worker_always_finds_its_row() -> None:
    """Run a worker while requests create resources and commit late."""
    worker = Worker(default_task_backend, Options(queues=Queues(None), interval=0.01))
    thread = threading.Thread(target=lambda: (worker.run(), connections.close_all()))
    thread.start()

    def create(index: int) -> int:
        try:
            client = APIClient()
            return client.post("/CreateOrder/", {"number": f"N{index}"}).status_code
        finally:
            connections.close_all()

    try:
        with ThreadPoolExecutor(max_workers=4) as executor:
            assert set(executor.map(create, range(100))) == {201}
        wait_for(lambda: TaskRun.objects.finished().count() == 100, "all runs have ended")
    finally:
        worker.stop()
        thread.join(timeout=30)
    assert not thread.is_alive()
    assert TaskRun.objects.successful().filter(attempts=1).count() == 100
    assert Event.objects.filter(name="mailed !").count() == 100


def test_a_worker_sees_nothing_before_the_commit(
    client: APIClient, order: Order, worked: Events
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("On SQLite the writer blocks the worker.")
    with ThreadPoolExecutor(max_workers=1) as executor, transaction.atomic():
        client.post("/Watched/A7/")
        assert executor.submit(_count_elsewhere).result() == 0
    assert worked() == ["first", "second"]


def _count_elsewhere() -> int:
    try:
        return TaskRun.objects.count()
    finally:
        connections.close_all()


class ToTheQueue:
    """A router that has Taskworks' tables on another alias."""

    def db_for_read(self, model: type, **hints: object) -> str | None:
        return "queue" if model._meta.app_label == "taskworks" else None

    db_for_write = db_for_read


@pytest.mark.django_db(databases=["default", "queue"], transaction=True)
@pytest.mark.usefixtures("atomic_requests")
class TestTablesOnAnotherAlias:
    @pytest.fixture(autouse=True)
    def _router(self, settings: Settings) -> None:
        settings.DATABASE_ROUTERS = [ToTheQueue()]

    def test_runs_are_handed_over_on_commit(self, client: APIClient, order: Order) -> None:
        answer = client.post("/Chained/A7/").json()
        ids = {run["id"] for run in answer["runs"]}
        assert {str(run.id) for run in TaskRun.objects.using("queue")} == ids
        assert len(ids) == 3
        states = TaskRun.objects.using("queue").values_list("state", flat=True)
        assert sorted(states) == ["blocked", "blocked", "ready"]

    def test_and_not_if_it_is_rolled_back(self, client: APIClient, order: Order) -> None:
        assert client.post("/Fails/A7/").status_code == 500
        assert not TaskRun.objects.using("queue").exists()


class OrdersElsewhere:
    """A router that has the resources on another alias than Taskworks' tables."""

    def db_for_read(self, model: type, **hints: object) -> str | None:
        return "queue" if model._meta.app_label == "endpoints" else None

    db_for_write = db_for_read


@pytest.mark.django_db(databases=["default", "queue"], transaction=True)
class TestResourcesOnAnotherAlias:
    @pytest.fixture(autouse=True)
    def _router(self, settings: Settings) -> None:
        settings.DATABASE_ROUTERS = [OrdersElsewhere()]

    @pytest.fixture
    def _atomic(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connections.settings["queue"], "ATOMIC_REQUESTS", True)

    @pytest.mark.usefixtures("_atomic")
    def test_nothing_is_left_of_a_request_that_fails(
        self, client: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tests.endpoints.orders.Chained.accepted", lambda self: 1 / 0)
        assert client.post("/Fails/A7/").status_code == 500
        assert client.post("/Chained/A7/").status_code == 500
        assert not TaskRun.objects.exists()
        assert not Edge.objects.exists()

    @pytest.mark.usefixtures("_atomic")
    def test_runs_are_handed_over_on_commit(
        self, client: APIClient, order: Order, worked: Events
    ) -> None:
        answer = client.post("/Chained/A7/").json()
        ids = {run["id"] for run in answer["runs"]}
        assert {str(run.id) for run in TaskRun.objects.all()} == ids
        assert len(ids) == 3
        assert worked() == ["charged", "shipped"]

    @pytest.mark.usefixtures("_atomic")
    def test_a_transaction_of_the_tables_decides(self, client: APIClient, order: Order) -> None:
        with transaction.atomic():
            client.post("/Chained/A7/")
            assert TaskRun.objects.count() == 3
            transaction.set_rollback(True)
        assert not TaskRun.objects.exists()

    def test_all_runs_exist_or_none(
        self, client: APIClient, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Store, "block", lambda *args, **options: 1 / 0)
        assert client.post("/Chained/A7/").status_code == 500
        assert not TaskRun.objects.exists()
