"""What goes on while the broker is down: with threads everything, with the main thread nothing."""

from collections.abc import Iterator

import pytest

from tests import tasks
from tests.celery_worker.brokers import OwnRedis, own_redis
from tests.celery_worker.processes import StartCelery
from tests.on_request import on_request
from tests.stopping.runs import finished, run_of
from tests.waiting import wait_for

pytestmark = on_request


@pytest.fixture
def redis() -> Iterator[OwnRedis]:
    with own_redis() as server:
        yield server


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


def test_threads_work_before_there_is_a_broker(start_celery: StartCelery, redis: OwnRedis) -> None:
    redis.stop()
    worker = start_celery(redis.url)
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
    redis.start()
    worker.wait_until_connected()
    assert finished(tasks.add.enqueue(3, 4))[0].return_value == 7


def test_the_main_thread_goes_on_once_it_is_back(
    start_celery: StartCelery, redis: OwnRedis
) -> None:
    worker = start_celery(redis.url, pool="solo").wait_until_connected()
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
