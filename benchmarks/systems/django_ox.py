"""django-ox."""

from collections.abc import Sequence

from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE


class DjangoOx(DjangoSystem):
    name = "django-ox"
    stores = ("postgresql", "sqlite")
    packages = ("django-ox",)
    differs = "A task whose worker was killed is executed again after 5 minutes."
    drains = 600
    apps = ["django_ox"]
    app = "django_ox"
    backend = "django_ox.backend.OxBackend"

    @property
    def setting(self) -> str:
        return f"`ox_worker --concurrency {self._concurrency}`"

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "ox_worker", "--concurrency", str(self._concurrency), "-v0"]

    @property
    def _concurrency(self) -> int:
        # SQLite has one writer at a time, so more threads only block each other.
        return 1 if self.place.store == "sqlite" else 4

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        from django_ox.bulk import enqueue_many

        enqueue_many(self.noop, [((number, "hello-world"), {}) for number in numbers])

    def done(self) -> int:
        from django_ox.models import OxTask

        return OxTask.objects.filter(status="SUCCESSFUL").count()
