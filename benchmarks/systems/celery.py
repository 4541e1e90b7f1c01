"""Celery, with Redis or RabbitMQ as its broker, and results in Redis."""

import sys
from collections.abc import Sequence

from benchmarks import databases
from benchmarks.systems.system import NO_ASYNC, NO_BULK, NO_TRANSACTIONS, System

APP = "benchmarks.project.celery_noops"


class Celery(System):
    name = "celery"
    stores = ("redis", "rabbitmq")
    packages = ("celery", "redis")
    setting = (
        "`celery worker` with one child process per processor, worker_prefetch_multiplier 64, "
        "without gossip, mingle, heartbeat and remote control; results in Redis"
    )
    differs = (
        "Not durable in this setup; a task whose worker was killed is lost (early acknowledgement)."
    )
    drains = 2_000
    lacks = {**NO_BULK, **NO_TRANSACTIONS, **NO_ASYNC}

    @property
    def worker(self) -> list[str]:
        calm = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [sys.executable, "-m", "celery", "-A", APP, "worker", "-l", "ERROR", *calm]

    def open(self) -> None:
        from benchmarks.project.celery_noops import app, noop

        self.app, self.noop = app, noop

    def close(self) -> None:
        self.app.control.purge()
        if self.place.store == "rabbitmq":
            with self.app.connection_for_write() as connection:
                connection.default_channel.queue_delete(self.place.database)
                connection.default_channel.exchange_delete(self.place.database)

    def prepare(self) -> None:
        with self.app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1)

    def clear(self) -> None:
        self.app.control.purge()
        databases.flush_redis()

    def enqueue(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.noop.delay(number, "hello-world")

    def done(self) -> int:
        return databases.results()
