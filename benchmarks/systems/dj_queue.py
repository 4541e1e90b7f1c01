"""dj-queue: the design of Solid Queue, in Django."""

from collections.abc import Sequence

from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE


class DjQueue(DjangoSystem):
    name = "dj-queue"
    stores = ("postgresql", "sqlite")
    packages = ("dj-queue",)
    setting = "`dj_queue`: 4 processes, one of them a worker with 8 threads, prefetch_multiplier 50"
    differs = "A task whose worker was killed fails after 5 minutes, and is not executed again."
    drains = 1_200
    apps = ["dj_queue"]
    app = "dj_queue"
    backend = "dj_queue.backend.DjQueueBackend"
    options = {"workers": [{"queues": "*", "threads": 8, "prefetch_multiplier": 50}]}
    settings = {"DATABASE_ROUTERS": ["dj_queue.routers.DjQueueRouter"]}

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "dj_queue"]

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        calls = [(self.noop, [number, "hello-world"], {}) for number in numbers]
        self.noop.get_backend().enqueue_all(calls)

    def done(self) -> int:
        from dj_queue.models import Job

        return Job.objects.filter(finished_at__isnull=False).count()
