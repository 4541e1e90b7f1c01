"""django-vtasks, with its database backend and its Valkey backend, which also runs on Redis."""

from collections.abc import Sequence
from typing import Any

from benchmarks import databases
from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE, NO_TRANSACTIONS

QUEUE = "{vt}q:default"
IN_HAND = "{vt}processing:*"


class DjangoVTasks(DjangoSystem):
    name = "django-vtasks"
    stores = ("postgresql", "mariadb", "sqlite", "redis")
    packages = ("django-vtasks", "django-vcache", "redis")
    setting = (
        "`runworker` with its default concurrency of 20; a coroutine function; without its "
        "batches, which pass many tasks to one call of a function"
    )
    drains = 800
    slows_down = True
    app = "db"
    tasks = "benchmarks.project.vtasks_noops"
    _enqueued = 0

    @property
    def differs(self) -> str:
        kept = (
            "Does not keep return values, or finished tasks; a task whose worker was killed fails."
        )
        return f"{kept} Not durable in this setup." if self._is_on_redis else kept

    @property
    def lacks(self) -> dict[str, str]:
        return NO_TRANSACTIONS if self._is_on_redis else {}

    @property
    def apps(self) -> list[str]:
        return ["django_vtasks", *([] if self._is_on_redis else ["django_vtasks.db"])]

    @property
    def backend(self) -> str:
        kind = "valkey.Valkey" if self._is_on_redis else "db.Database"
        return f"django_vtasks.backends.{kind}TaskBackend"

    @property
    def options(self) -> dict[str, Any]:
        url = f"{databases.REDIS}/{databases.QUEUES}"
        return {"BROKER_URL": url} if self._is_on_redis else {}

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "runworker", "-v0"]

    def prepare(self) -> None:
        if not self._is_on_redis:
            super().prepare()

    def clear(self) -> None:
        self._enqueued = 0
        if self._is_on_redis:
            databases.flush_redis()
        else:
            super().clear()

    def enqueue(self, numbers: Sequence[int]) -> None:
        super().enqueue(numbers)
        self._enqueued += len(numbers)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        backend = self.noop.get_backend()
        backend.enqueue_many([(self.noop, (number, "hello-world"), {}) for number in numbers])
        self._enqueued += len(numbers)

    async def enqueue_async(self, numbers: Sequence[int]) -> None:
        await super().enqueue_async(numbers)
        self._enqueued += len(numbers)

    def done(self) -> int:
        # It deletes what was successful, and keeps what failed.
        return self._enqueued - self._kept()

    def _kept(self) -> int:
        if self._is_on_redis:
            return databases.lengths_of_lists(QUEUE, IN_HAND)
        from django_vtasks.db.models import QueuedTask

        return QueuedTask.objects.count()

    @property
    def _is_on_redis(self) -> bool:
        return self.place.store == "redis"
