"""Tickets that come to a worker, whoever has sent them."""

from typing import Any

import pytest
from celery import Celery
from redis import Redis

from tests import tasks
from tests.celery_worker.brokers import OwnRedis
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.on_request import on_request
from tests.stopping.runs import finished, wait_until
from tests.waiting import wait_for

pytestmark = on_request

BODIES: list[tuple[Any, ...]] = [
    (["of a run that is gone"], {}),
    ([{"not": "an id"}] * 100, {"x": "y" * 100_000}),
    ([], {}),
]


def send_by_hand(worker: CeleryWorker, many: int) -> None:
    with Celery("sender", broker=worker.broker, set_as_current=False) as app:
        for args, kwargs in BODIES * many:
            app.send_task("taskworks.run", args, kwargs, queue=worker.queue)


def unacknowledged(server: OwnRedis, worker: CeleryWorker) -> int:
    with Redis.from_url(server.url.replace("redis+socket", "unix")) as redis:
        return redis.llen(worker.queue) + redis.hlen("unacked")


def test_each_is_acknowledged_and_none_is_believed(
    start_celery: StartCelery, redis_server: OwnRedis, pool: str
) -> None:
    worker = start_celery(redis_server.url, pool=pool).wait_until_connected()
    send_by_hand(worker, 50)
    wait_for(lambda: unacknowledged(redis_server, worker) == 0, "all are acknowledged")
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
    assert "Traceback" not in worker.log
    assert "ERROR" not in worker.log


@pytest.mark.parametrize("pool", ["threads"])
def test_a_worker_without_room_leaves_them_to_others(
    start_celery: StartCelery, redis_server: OwnRedis, pool: str, tmp_path: Any
) -> None:
    worker = start_celery(redis_server.url, pool=pool, size=1).wait_until_connected()
    running = tasks.wait_for_file.enqueue(str(tmp_path / "go"))
    wait_until(running, "running")
    send_by_hand(worker, 5)
    with Redis.from_url(redis_server.url.replace("redis+socket", "unix")) as redis:
        prefetched = 4  # worker_prefetch_multiplier, as Celery has it
        wait_for(lambda: redis.hlen("unacked") == prefetched, "it holds a few")
        assert redis.llen(worker.queue) == len(BODIES) * 5 - prefetched
    (tmp_path / "go").touch()
    wait_for(lambda: unacknowledged(redis_server, worker) == 0, "all are acknowledged")
