"""Tickets that come to a worker, whoever has sent them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from redis import Redis

from taskworks.models import TaskRun
from tests import tasks
from tests.celery_worker import shelf
from tests.celery_worker.broker_queue import broker_queue
from tests.celery_worker.brokers import OwnRedis
from tests.celery_worker.processes import CeleryWorker, StartCelery
from tests.on_request import on_request
from tests.stopping.runs import finished, run_of, wait_until
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
        return redis.llen(worker.queue) + held(redis, worker)


def held(redis: Redis, worker: CeleryWorker) -> int:
    """How many it has not acknowledged: those of workers that were killed are there, too."""
    return sum(worker.queue.encode() in message for message in redis.hvals("unacked"))


def test_each_is_acknowledged_and_none_is_believed(
    start_celery: StartCelery, redis_server: OwnRedis, pool: str
) -> None:
    worker = start_celery(redis_server.url, pool=pool).wait_until_connected()
    send_by_hand(worker, 50)
    wait_for(lambda: unacknowledged(redis_server, worker) == 0, "all are acknowledged")
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
    assert "Traceback" not in worker.log
    assert "ERROR" not in worker.log


def test_tickets_of_runs_that_have_ended_and_two_for_one_run_change_nothing(
    start_celery: StartCelery, redis_server: OwnRedis, pool: str, tmp_path: Path
) -> None:
    worker = start_celery(redis_server.url, pool=pool).wait_until_connected()
    cancelled, deleted = tasks.noop.using(run_after=timedelta(hours=1)).enqueue_many([((), {})] * 2)
    assert cancelled.cancel()
    TaskRun.objects.filter(id=deleted.id).delete()
    [ended] = finished(tasks.noop.enqueue())
    line = shelf.add_line.enqueue(str(tmp_path / "lines"), "once")
    for id_ in (cancelled.id, deleted.id, str(ended.id), line.id, line.id, line.id):
        send(worker, message={"headers": ticket_headers(id_), "body": b"[[], {}, {}]"})
    [run] = finished(line)
    wait_for(lambda: unacknowledged(redis_server, worker) == 0, "all are acknowledged")
    assert (run.attempts, (tmp_path / "lines").read_text()) == (1, "once\n")
    assert run_of(cancelled).state == "cancelled"
    assert (run_of(ended).attempts, run_of(ended).state) == (1, "successful")
    assert "Traceback" not in worker.log


FOREIGN = {
    "pickle": {"content_type": "application/x-python-serialize", "body": b"\x80no pickle"},
    "no JSON": {"content_type": "application/json", "body": b"{"},
    "of no type": {"content_type": "application/x-unknown", "body": b"\xff\xfe"},
    "10 MB": {"content_type": "application/json", "body": b"[" + b"0," * 5_000_000 + b"0]"},
}


@pytest.mark.parametrize("message", FOREIGN.values(), ids=FOREIGN)
def test_what_is_in_a_ticket_is_never_read(
    start_celery: StartCelery, broker: str, message: Any
) -> None:
    worker = start_celery(broker).wait_until_connected()
    send(worker, message={"headers": ticket_headers("x"), **message})
    assert finished(tasks.add.enqueue(1, 2))[0].return_value == 3
    with Celery("asking", broker=broker, set_as_current=False) as app:
        inspect = app.control.inspect([worker.name], timeout=10)
        assert inspect.ping()[worker.name] == {"ok": "pong"}
    assert "Traceback" not in worker.log
    assert "ERROR" not in worker.log


def ticket_headers(id_: str) -> dict[str, Any]:
    return {"task": "taskworks.run", "id": id_, "lang": "py"}


def send(worker: CeleryWorker, message: dict[str, Any]) -> None:
    """Send it as it is."""
    message = {"content_type": "application/json", "content_encoding": "utf-8", **message}
    queue = broker_queue(worker.queue)
    with Connection(worker.broker) as connection:
        connection.Producer().publish(
            routing_key=worker.queue, exchange=queue.exchange, declare=[queue], **message
        )


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
        wait_for(lambda: held(redis, worker) == prefetched, "it holds a few")
        assert redis.llen(worker.queue) == len(BODIES) * 5 - prefetched
    (tmp_path / "go").touch()
    wait_for(lambda: unacknowledged(redis_server, worker) == 0, "all are acknowledged")
