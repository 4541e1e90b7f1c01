"""A worker that could not execute runs does not start, and says so in a sentence."""

import signal
from pathlib import Path

import pytest

from tests import tasks
from tests.celery_worker.brokers import OwnRedis
from tests.celery_worker.processes import StartCelery
from tests.on_request import on_request
from tests.stopping.runs import finished

pytestmark = on_request

# gevent is not installed.
GREENLETS = {"CELERY_CUSTOM_WORKER_POOL": "tests.celery_worker.greenlets:TaskPool"}


def last_line(log: str) -> str:
    return log.strip().splitlines()[-1]


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_without_an_event_loop(start_celery: StartCelery, pool: str) -> None:
    worker = start_celery("memory://", pool=pool)
    assert worker.wait() == 1
    assert "Celery has no event loop" in last_line(worker.log)
    assert f"--pool {pool} cannot execute" in last_line(worker.log)
    assert "start this worker with --pool threads." in last_line(worker.log)
    assert "Traceback" not in worker.log


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_autoscale_of_a_pool_that_cannot_grow(
    start_celery: StartCelery, redis_server: OwnRedis, pool: str
) -> None:
    """Celery itself would fail with the next message."""
    worker = start_celery(redis_server.url, "--autoscale", "4,1", pool=pool)
    assert worker.wait() == 1
    assert f"which --pool {pool} cannot" in last_line(worker.log)
    assert "Traceback" not in worker.log


def test_threads_without_an_event_loop_work(start_celery: StartCelery) -> None:
    start_celery("memory://", pool="threads").wait_until_up()
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3


def test_a_pool_of_greenlets(start_celery: StartCelery, redis_server: OwnRedis) -> None:
    worker = start_celery(redis_server.url, pool="custom", **GREENLETS)
    assert worker.wait() == 1
    assert last_line(worker.log) == (
        "This worker has the pool 'greenlets', which cannot execute the runs of a "
        "taskworks.backends.celery.CeleryBackend: start it with --pool prefork, --pool threads or "
        "--pool solo."
    )
    assert "Traceback" not in worker.log


@pytest.mark.any_database
def test_forks_on_sqlite(start_celery: StartCelery, redis_server: OwnRedis) -> None:
    worker = start_celery(redis_server.url, pool="prefork", TASKWORKS_TEST_START_METHOD="fork")
    assert worker.wait() == 1
    assert "start this worker with --pool threads, or, with Celery 5.7" in last_line(worker.log)
    assert "worker_pool_start_method to 'spawn'" in last_line(worker.log)
    assert "Traceback" not in worker.log


def test_prefork_without_a_place_for_a_socket(
    start_celery: StartCelery, redis_server: OwnRedis, tmp_path: Path
) -> None:
    too_long = tmp_path / ("a" * 100)
    too_long.mkdir()
    worker = start_celery(redis_server.url, pool="prefork", TMPDIR=str(too_long))
    assert worker.wait() == 1
    assert "needs a socket in the folder for temporary files" in last_line(worker.log)
    assert str(too_long) in last_line(worker.log)
    assert "Traceback" not in worker.log
    assert [*too_long.iterdir()] == []


def test_a_worker_that_takes_no_queue_of_ours_may_have_any_pool(
    start_celery: StartCelery, redis_server: OwnRedis
) -> None:
    worker = start_celery(
        redis_server.url, "-Q", "taskworks-others", pool="custom", size=1, **GREENLETS
    )
    worker.wait_until_connected()
    assert "it takes runs from" not in worker.log
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
