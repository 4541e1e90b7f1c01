"""Ours."""

from collections.abc import Sequence
from typing import Any

from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE


class Taskworks(DjangoSystem):
    name = "taskworks"
    stores = ("postgresql", "mariadb", "sqlite")
    packages = ("django-taskworks",)
    setting = "`taskworks worker` with default settings; a function"
    drains = 20_000
    apps = ["taskworks"]
    parts = ("enqueue", "drain", "latency", "idle", "held", "growth", "schedules")
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
        # Not with COUNT: the table may have a million other runs.
        waiting = self._runs.ready().exists() or self._runs.in_hand().exists()
        return not waiting and self.done() >= size

    @property
    def _runs(self) -> Any:
        from taskworks.models import TaskRun

        return TaskRun.objects.all()


class TaskworksAsync(Taskworks):
    name = "taskworks-async"
    setting = "`taskworks worker` with default settings; a coroutine function"
    parts = ("drain", "latency")
    task = "noop_async"
