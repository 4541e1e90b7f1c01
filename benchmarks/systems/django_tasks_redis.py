"""django-tasks-redis: a backend of Django's tasks on the streams of Redis."""

from benchmarks import databases
from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE, NO_BULK, NO_TRANSACTIONS


class DjangoTasksRedis(DjangoSystem):
    name = "django-tasks-redis"
    stores = ("redis",)
    packages = ("django-tasks-redis", "redis")
    setting = (
        "`run_redis_tasks --continuous -v0`, one task at a time; it always prints a line per task"
    )
    differs = (
        "Not durable in this setup; a task whose worker was killed is executed again after "
        "5 minutes."
    )
    drains = 600
    lacks = {**NO_BULK, **NO_TRANSACTIONS}
    apps = ["django_tasks_redis"]
    backend = "django_tasks_redis.RedisTaskBackend"
    options = {"REDIS_URL": f"{databases.REDIS}/{databases.QUEUES}"}

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "run_redis_tasks", "--continuous", "-v0"]

    def prepare(self) -> None:
        """Do nothing: it has no tables."""

    def clear(self) -> None:
        databases.flush_redis()

    def done(self) -> int:
        from django_tasks_redis.utils import get_status_index_key

        backend = self.noop.get_backend()
        successful = get_status_index_key(backend.key_prefix, backend.alias, "SUCCESSFUL")
        return backend.get_client().zcard(successful)
