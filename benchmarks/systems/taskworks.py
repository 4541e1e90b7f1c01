"""Ours."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar

from benchmarks import databases
from benchmarks.systems.celery import IN_WORDS, delete_queue, worker_of
from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE

OTHER_SHARD, OTHER_PORT = "other", "TASKWORKS_BENCH_OTHER_PORT"


class Taskworks(DjangoSystem):
    name = "taskworks"
    stores = ("postgresql", "mariadb", "sqlite")
    packages = ("django-taskworks",)
    setting = "`taskworks worker` with default settings; a function"
    drains = 20_000
    apps = ["taskworks"]
    parts = (
        "enqueue",
        "drain",
        "latency",
        "idle",
        "held",
        "growth",
        "schedules",
        "costs",
        "arrivals",
        "growing",
    )
    slows_down = True
    app = "taskworks"
    backend = "taskworks.backends.database.DatabaseBackend"
    tasks = "benchmarks.project.taskworks_noops"

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "taskworks", "worker", "-v0"]

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        self.noop.enqueue_many([(number, "hello-world") for number in numbers])

    def done(self) -> int:
        return self._runs.successful().count()

    def is_done(self, size: int) -> bool:
        # Not with COUNT, which takes seconds if the table has millions of other runs.
        return not (self._runs.ready().exists() or self._runs.in_hand().exists())

    @property
    def _runs(self) -> Any:
        from taskworks.models import TaskRun

        return TaskRun.objects.all()


class TaskworksAsync(Taskworks):
    name = "taskworks-async"
    setting = "`taskworks worker` with default settings; a coroutine function"
    parts = ("drain", "latency")
    task = "noop_async"


class TaskworksWithoutStatistics(Taskworks):
    name = "taskworks-without-statistics"
    setting = "`taskworks worker` that counts nothing; a function"
    parts = ()
    settings = {"TASKWORKS": {"STATISTICS": False}}


class TaskworksWoken(Taskworks):
    name = "taskworks-woken"
    setting = "`taskworks worker` with `WAKEUP`, without notifications; a function"
    packages = ("django-taskworks", "redis")
    parts = ("enqueue", "latency", "idle")
    settings: ClassVar = {"TASKWORKS": {"NOTIFY": False, "WAKEUP": f"{databases.REDIS}/0"}}

    def prepare(self) -> None:
        databases.describe_redis()  # or that it cannot be reached
        super().prepare()


class TaskworksCelery(Taskworks):
    name = "taskworks-celery"
    stores = ("postgresql", "mariadb")
    packages = ("django-taskworks", "celery")
    setting = f"`celery worker` that executes runs, {IN_WORDS}; a function"
    parts = ()
    celery_app = "benchmarks.project.celery_desk"

    @property
    def backends(self) -> dict[str, Any]:
        options = {
            "CELERY_APP": f"{self.celery_app}:app",
            "CELERY_QUEUES": {"default": self.place.database},
        }
        backend = "taskworks.backends.celery.CeleryBackend"
        return {"default": {"BACKEND": backend, "QUEUES": ["default"], "OPTIONS": options}}

    @property
    def worker(self) -> list[str]:
        return worker_of(self.celery_app)

    def close(self) -> None:
        from benchmarks.project.celery_desk import app

        delete_queue(app, self.place)


class TaskworksShards(Taskworks):
    """The other shard is in a server of its own, whose port is in the environment."""

    name = "taskworks-shards"
    stores = ("postgresql",)
    setting = "`taskworks worker` for each of two databases; a function"
    parts = ()

    @property
    def backends(self) -> dict[str, Any]:
        other = {"BACKEND": self.backend, "QUEUES": [], "OPTIONS": {"DATABASE": OTHER_SHARD}}
        return {**super().backends, OTHER_SHARD: other}

    @property
    def settings(self) -> dict[str, Any]:
        first = databases.settings(self.place)
        other = {**first, "PORT": os.environ[OTHER_PORT], "OPTIONS": {"connect_timeout": 3}}
        return {"DATABASES": {"default": first, OTHER_SHARD: other}}

    def prepare(self) -> None:
        from django.core.management import call_command

        super().prepare()
        databases.create_on(os.environ[OTHER_PORT], self.place)
        call_command("migrate", "taskworks", database=OTHER_SHARD, verbosity=0)
