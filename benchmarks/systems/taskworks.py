"""Ours."""

from collections.abc import Sequence
from typing import Any, ClassVar

from benchmarks import databases
from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE


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
