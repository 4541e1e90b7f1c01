"""Celery, with Redis or RabbitMQ as its broker, and results in Redis, nowhere, or in Django."""

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from benchmarks import databases, marks
from benchmarks.place import Place
from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import NO_ASYNC, NO_BULK, NO_TRANSACTIONS, System

CALM = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
IN_WORDS = "worker_prefetch_multiplier 64, without gossip, mingle, heartbeat and remote control"


def worker_of(app: str) -> list[str]:
    """Return the command that starts a worker of the app in this module."""
    return [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "ERROR", *CALM]


def delete_queue(app: Any, place: Place) -> None:
    """Delete the queue of the place, with what is in it, and its exchange."""
    with app.connection_for_write() as connection:
        queue = app.amqp.queues[place.database](connection.default_channel)
        queue.declare()  # in Redis, only what this connection knows of is deleted
        queue.delete()
        queue.exchange.delete()


class Celery(System):
    name = "celery"
    stores = ("redis", "rabbitmq")
    packages = ("celery", "redis")
    setting = f"`celery worker` with one child process per processor, {IN_WORDS}; results in Redis"
    differs = (
        "Not durable in this setup; a task whose worker was killed is lost (early acknowledgement)."
    )
    drains = 2_000
    lacks = {**NO_BULK, **NO_TRANSACTIONS, **NO_ASYNC}

    @property
    def worker(self) -> list[str]:
        return worker_of("benchmarks.project.celery_noops")

    def open(self) -> None:
        from benchmarks.project.celery_noops import app, noop

        self.app, self.noop = app, noop

    def close(self) -> None:
        self.app.control.purge()
        if self.place.store == "rabbitmq":
            delete_queue(self.app, self.place)

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


class CeleryWithoutResults(Celery):
    name = "celery-without-results"
    packages = ("celery",)
    setting = f"`celery worker`, {IN_WORDS}; no results"
    parts = ()

    def done(self) -> int:
        return marks.count(self.place.marks)


class CeleryDjangoResults(DjangoSystem):
    name = "celery-django-results"
    stores = ("postgresql", "mariadb")
    packages = ("celery", "django-celery-results")
    setting = f"`celery worker`, {IN_WORDS}; results by django-celery-results, connections kept"
    parts = ()
    lacks = {**NO_BULK, **NO_TRANSACTIONS, **NO_ASYNC}
    apps: ClassVar[list[str]] = ["django_celery_results"]
    app = "django_celery_results"
    tasks = "benchmarks.project.celery_django_results"

    @property
    def worker(self) -> list[str]:
        return worker_of(self.tasks)

    def close(self) -> None:
        delete_queue(self.noop.app, self.place)

    def enqueue(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.noop.delay(number, "hello-world")

    def done(self) -> int:
        from django_celery_results.models import TaskResult

        return int(TaskResult.objects.filter(status="SUCCESS").count())
