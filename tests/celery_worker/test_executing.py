"""What a Celery worker does with runs: the same as ours."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from taskworks import TaskResult, Workflow
from taskworks.models import Worker
from tests import tasks
from tests.behavior import deadly
from tests.celery_worker import shelf
from tests.celery_worker.brokers import rabbitmq
from tests.celery_worker.processes import CeleryWorker
from tests.on_request import on_request
from tests.stopping.runs import cancel_under_way, error_of, finished, run_of, wait_until
from tests.waiting import wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker")]

OTHERS = [("prefork", "rabbitmq"), ("threads", "rabbitmq"), ("solo", "rabbitmq")]


@pytest.fixture
def _django_db_helper() -> None:
    """Instead of that of pytest-django: what a test writes stays until the worker has ended."""


@pytest.fixture(
    scope="module",
    params=[
        ("prefork", "redis"),
        ("threads", "redis"),
        pytest.param(("solo", "redis"), marks=pytest.mark.not_every_day),
        *(pytest.param(one, marks=on_request) for one in OTHERS),
    ],
    ids="-".join,
)
def worker(request: pytest.FixtureRequest, lasting_database: None) -> Iterator[CeleryWorker]:
    pool, name = request.param
    broker = rabbitmq() if name == "rabbitmq" else request.getfixturevalue("redis_server").url
    worker = CeleryWorker(broker, pool=pool)
    try:
        yield worker.wait_until_up()
    finally:
        worker.end()


def test_it_is_a_worker_like_others(worker: CeleryWorker) -> None:
    [row] = Worker.objects.filter(label=worker.name[:64])
    assert (row.pid, row.backend) == (worker.process.pid, "default")
    assert row.queues == ["default"]


def test_functions_of_every_kind_are_executed(worker: CeleryWorker) -> None:
    runs = finished(
        tasks.add.enqueue(1, 2),
        tasks.add_async.enqueue(3, 4),
        tasks.add.using(executor="process").enqueue(5, 6),
        tasks.add.using(transactional=True, timeout=10).enqueue(7, 8),
        tasks.add.using(delivery="at_most_once").enqueue(9, 10),
    )
    assert [run.return_value for run in runs] == [3, 7, 11, 15, 19]
    assert {tuple(run.worker_ids) for run in runs} == {(worker.name[:64],)}
    assert {run.attempts for run in runs} == {1}


def test_a_failed_run_is_tried_again() -> None:
    [run] = finished(tasks.fail.using(max_attempts=3, backoff=0.01).enqueue("no luck"))
    assert (run.state, run.attempts) == ("failed", 3)
    assert [entry["exception_class_path"] for entry in run.errors] == ["builtins.ValueError"] * 3


def test_a_delayed_run_waits() -> None:
    result = tasks.noop.using(run_after=timedelta(seconds=0.3)).enqueue()
    [run] = finished(result)
    assert run.started_at >= run.run_after


def test_queues_that_its_broker_has_elsewhere_are_left_to_others(worker: CeleryWorker) -> None:
    elsewhere = tasks.send_mail.enqueue("nobody")
    finished(*(tasks.noop.enqueue() for _ in range(20)))
    elsewhere.refresh()
    assert elsewhere.status == "READY"


def test_progress_is_seen_while_it_runs(tmp_path: Path) -> None:
    result = shelf.report_and_wait.enqueue(str(tmp_path / "go"))
    run = wait_until(result, "running")
    deadline = time.monotonic() + 60
    while not run.metadata and time.monotonic() < deadline:
        run.refresh_from_db()
    assert run.metadata == {"half": True}
    (tmp_path / "go").touch()
    assert finished(result)[0].return_value == "found"


def test_a_run_is_cancelled_while_it_sleeps_or_counts(worker: CeleryWorker) -> None:
    for task in (shelf.nap, shelf.count_for_ever):
        cancel_under_way(task.enqueue())
    assert finished(tasks.add.enqueue(1, 1))[0].return_value == 2


def test_a_timeout_ends_what_counts() -> None:
    [run] = finished(shelf.count_for_ever.using(timeout=0.3).enqueue())
    assert (run.state, error_of(run)) == ("failed", "TaskTimeout")
    assert run.finished_at - run.started_at < timedelta(seconds=10)


def test_of_a_limit_no_more_are_executed_at_once(tmp_path: Path) -> None:
    results = [shelf.wait_at_the_desk.enqueue(str(tmp_path / "go")) for _ in range(3)]
    wait_for(lambda: states(results).count("running") == 1, "one is executed")
    finished(tasks.add_async.enqueue(1, 2))
    assert states(results).count("ready") == 2
    (tmp_path / "go").touch()
    assert {run.state for run in finished(*results)} == {"successful"}


def states(results: list[TaskResult]) -> list[str]:
    return [run_of(result).state for result in results]


def test_a_workflow_goes_on_from_step_to_step() -> None:
    flow = Workflow("nightly")
    first = flow.add("extract", tasks.echo, 1)
    each = flow.each("transform", tasks.add, [[1, 2], [3, 4]], after=first)
    flow.add("load", tasks.add_async, 5, 6, after=each)
    result = flow.enqueue()
    wait_for(lambda: (result.refresh(), result.is_finished)[1], "it has ended")
    assert (result.status, [*result.results("transform")]) == ("successful", [3, 7])
    assert result.result("load") == 11


def test_a_run_that_kills_its_process_fails_alone() -> None:
    neighbors = [tasks.add.enqueue(1, 2), tasks.add_async.enqueue(3, 4)]
    [run] = finished(deadly.die.using(executor="process").enqueue("kill"))
    assert (run.state, error_of(run)) == ("failed", "TaskCrashed")
    assert {run.state for run in finished(*neighbors)} == {"successful"}
