"""A run that waits for another is never lost, whenever a worker is killed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from taskworks.models import Edge, TaskRun
from tests.endpoints.models import Event, Order
from tests.processes.conftest import WorkerProcess
from tests.waiting import wait_for

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker() -> Iterator[StartWorker]:
    workers: list[WorkerProcess] = []

    def start_worker(**environment: str) -> WorkerProcess:
        workers.append(WorkerProcess(**environment))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.end()


def states() -> dict[str, str]:
    return {run.task_name: run.state for run in TaskRun.objects.all()}


def names() -> list[str]:
    return [*Event.objects.order_by("id").values_list("name", flat=True)]


def wait_until_all_is_done() -> None:
    done = {"first": "successful", "second": "successful"}
    wait_for(lambda: states() == done, "both have succeeded")
    wait_for(lambda: not Edge.objects.exists(), "nothing is blocked")


@pytest.mark.parametrize(
    ("where", "edges"),
    [
        ("after_the_finish", 1),
        ("between_the_statements", 0),  # deleted, and the run without one is not unblocked
    ],
)
def test_the_worker_is_killed_when_it_has_written_the_success(
    client: APIClient, order: Order, start_worker: StartWorker, where: str, edges: int
) -> None:
    client.post("/Watched/A7/")
    assert start_worker(TASKWORKS_TEST_DEATH=where).wait() == -9
    assert states() == {"first": "successful", "second": "blocked"}
    assert Edge.objects.count() == edges
    start_worker()
    wait_until_all_is_done()
    assert names() == ["first", "second"]


def test_the_worker_is_killed_in_the_middle_of_the_first(
    client: APIClient, order: Order, start_worker: StartWorker
) -> None:
    Order.objects.update(note="deadly")
    client.post("/Watched/A7/")
    assert start_worker().wait() == -9
    assert states()["second"] == "blocked"
    start_worker()
    wait_until_all_is_done()
    assert names() == ["first", "first", "second"]


def test_many_chains_while_workers_are_killed(client: APIClient, start_worker: StartWorker) -> None:
    numbers = [f"N{index}" for index in range(30)]
    Order.objects.bulk_create(Order(number=number) for number in numbers)
    for number in numbers:
        client.post(f"/Watched/{number}/")
    for done in (8, 20, 35):
        worker = start_worker()
        wait_for(lambda done=done: Event.objects.count() >= done, f"{done} tasks have been done")
        worker.process.kill()
        worker.wait()
    start_worker()
    wait_for(lambda: TaskRun.objects.successful().count() == 60, "all have succeeded", timeout=60)
    for number in numbers:
        of_order: Any = Event.objects.filter(order=number).order_by("id")
        assert [*dict.fromkeys(of_order.values_list("name", flat=True))] == ["first", "second"]
    assert not Edge.objects.exists()
