"""Real workers, one for each database, and one whose neighbor's database is down."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from taskworks import TaskResult
from taskworks.models import TaskRun, Worker
from taskworks.result import wait_for
from tests import tasks
from tests.processes.conftest import WorkerProcess
from tests.shards.backends import SHARD
from tests.shards.several import counts
from tests.shards.test_runs import bulk

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", SHARD]),
    pytest.mark.not_every_day,
    pytest.mark.thorough_on_servers,
]

Start = Callable[..., WorkerProcess]
RUNS = 200


@pytest.fixture
def start() -> Iterator[Start]:
    workers: list[WorkerProcess] = []
    name = str(connections[SHARD].settings_dict["NAME"])

    def start(*arguments: str, **environment: Any) -> WorkerProcess:
        settings = {"DJANGO_SETTINGS_MODULE": "tests.shards.settings"}
        environment = {**settings, "TASKWORKS_TEST_SHARD_NAME": name, **environment}
        workers.append(WorkerProcess(*arguments, **environment).wait_until_up())
        return workers[-1]

    yield start
    for worker in workers:
        worker.end()


def enqueue_both() -> list[TaskResult]:
    here = tasks.add.enqueue_many([(n, 1) for n in range(RUNS)])
    there = bulk(tasks.add).enqueue_many([(n, 1) for n in range(RUNS)])
    return [*here, *there]


def test_each_drains_its_own(start: Start) -> None:
    results = enqueue_both()
    assert counts() == (RUNS, RUNS)
    start("--worker-id", "here")
    start("--backend", "bulk", "--worker-id", "there")
    start("--backend", "bulk", "--processes", "2", "--worker-id", "many")
    in_a_child = bulk(tasks.add, executor="process").enqueue(1, 2)
    wait_for([*results, in_a_child], 60)
    assert in_a_child.return_value == 3
    labels = {alias: labels_of(alias) for alias in ("default", SHARD)}
    assert labels["default"] == {"here"}
    assert labels[SHARD] <= {"there", "many"}
    assert Worker.objects.using("default").count() == 1


def labels_of(alias: str) -> set[str]:
    runs = TaskRun.objects.using(alias)
    assert {run.attempts for run in runs} == {1}
    return {label for run in runs for label in run.worker_ids}


def test_a_worker_needs_its_own_database_alone(start: Start) -> None:
    results = tasks.add.enqueue_many([(n, 1) for n in range(RUNS)])
    start(TASKWORKS_TEST_SHARD_PORT="1")
    wait_for(results, 60)
