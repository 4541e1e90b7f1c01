"""procrastinate, in Django."""

from collections.abc import Sequence

from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE


class Procrastinate(DjangoSystem):
    name = "procrastinate"
    stores = ("postgresql",)
    packages = ("procrastinate",)
    setting = "`procrastinate worker --concurrency 10`; a coroutine function"
    differs = "Does not keep return values."
    drains = 800
    apps = ["procrastinate.contrib.django"]
    tasks = "benchmarks.project.procrastinate_noops"
    settings = {"PROCRASTINATE_IMPORT_PATHS": [tasks]}

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "procrastinate", "worker", "--concurrency", "10"]

    def clear(self) -> None:
        self._fetch("TRUNCATE procrastinate_jobs, procrastinate_events CASCADE")

    def enqueue(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.noop.defer(number=number, word="hello-world")

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        self.noop.batch_defer(*({"number": number, "word": "hello-world"} for number in numbers))

    async def enqueue_async(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            await self.noop.defer_async(number=number, word="hello-world")

    def done(self) -> int:
        [(count,)] = self._fetch(
            "SELECT COUNT(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        )
        return count

    @staticmethod
    def _fetch(statement: str) -> list[tuple[int, ...]]:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
