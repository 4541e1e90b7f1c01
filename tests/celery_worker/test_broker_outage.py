"""What goes on while the broker is down: with threads everything, otherwise no functions."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker.broker_queue import broker_queue
from tests.celery_worker.brokers import OWN_BROKERS, OwnRabbitMQ, OwnRedis, own_redis
from tests.celery_worker.enqueuer import enqueuing
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.effort import EVERY_CASE
from tests.on_request import on_request
from tests.stopping.runs import finished, run_of
from tests.waiting import wait_for

# That are enqueued meanwhile.
RUNS = 10_000 if EVERY_CASE else 1000


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


@on_request
def test_threads_go_on_while_it_is_down(start_celery: StartCelery, redis: OwnRedis) -> None:
    worker = start_celery(redis.url).wait_until_connected()
    redis.stop()
    worker.wait_for_log("Connection to broker lost")
    runs = finished(*(tasks.noop.enqueue() for _ in range(100)))
    assert {(run.state, run.attempts) for run in runs} == {("successful", 1)}
    redis.start()
    finished(tasks.noop.enqueue())
    wait_for(lambda: worker.log.count("Connected to redis") == 2, "it is connected again")
    finished(tasks.noop.enqueue())


@on_request
def test_threads_work_before_there_is_a_broker(start_celery: StartCelery, redis: OwnRedis) -> None:
    redis.stop()
    worker = start_celery(redis.url)
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
    redis.start()
    worker.wait_until_connected()
    assert finished(tasks.add.enqueue(3, 4))[0].return_value == 7


@on_request
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_others_go_on_once_it_is_back(
    start_celery: StartCelery, pool: str, redis: OwnRedis
) -> None:
    worker = start_celery(redis.url, pool=pool).wait_until_connected()
    redis.stop()
    worker.wait_for_log("Connection to broker lost")
    results = [tasks.noop.enqueue() for _ in range(20)]
    coroutine = tasks.noop_async.enqueue()
    assert finished(coroutine)[0].state == "successful"  # which needs no thread of Celery's
    wait_for(
        lambda: {run_of(result).state for result in results} == {"ready"}, "others may have them"
    )
    redis.start()
    assert {(run.state, run.attempts) for run in finished(*results)} == {("successful", 1)}


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=on_request)])
def server(request: pytest.FixtureRequest) -> Iterator[OwnRedis | OwnRabbitMQ]:
    """A broker that this test may stop, and that then has lost everything."""
    with OWN_BROKERS[request.param]() as server:
        yield server


@pytest.mark.not_every_day
@pytest.mark.parametrize(
    "pool", ["threads", *(pytest.param(pool, marks=on_request) for pool in ("prefork", "solo"))]
)
def test_each_run_is_executed_once_whatever_becomes_of_the_broker(
    start_celery: StartCelery, server: OwnRedis | OwnRabbitMQ, pool: str, tmp_path: Path
) -> None:
    """It is stopped, it loses what it had, it comes back, and is purged, while runs come."""
    worker = start_celery(server.url, pool=pool).wait_until_connected()
    lines, rounds = tmp_path / "lines", 2
    with enqueuing(lines, worker.environment) as enqueuer:
        for _ in range(rounds):
            enqueuer.begin(RUNS // rounds // 2)
            server.stop()
            enqueuer.wait()
            enqueuer.begin(RUNS // rounds // 4)
            server.start()
            enqueuer.wait()
            enqueuer.begin(RUNS // rounds // 4)
            purge(worker)
            enqueuer.wait()
        wait_for(lambda: TaskRun.objects.successful().count() == RUNS, "all are executed", 300)
    runs = TaskRun.objects.values_list("state", "attempts")
    assert Counter(runs) == {("successful", 1): enqueuer.enqueued}
    assert enqueuer.enqueued == RUNS
    assert sorted(map(int, lines.read_text().split())) == [*range(RUNS)]
    assert worker.process.poll() is None


def purge(worker: CeleryWorker) -> None:
    """As ``celery purge`` does."""
    with Celery("purging", broker=worker.broker, set_as_current=False) as app:
        app.conf.task_queues = [broker_queue(worker.queue)]
        # Not by a connection of Celery's pool: what that has, may have been before the outage.
        with app.connection_for_write() as connection:
            app.control.purge(connection=connection)
