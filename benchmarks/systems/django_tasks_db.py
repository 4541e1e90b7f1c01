"""django-tasks-db: the reference implementation's own database backend."""

from benchmarks.systems.django_system import DjangoSystem
from benchmarks.systems.system import MANAGE, NO_BULK


class DjangoTasksDB(DjangoSystem):
    name = "django-tasks-db"
    stores = ("postgresql", "mariadb", "sqlite")
    packages = ("django-tasks-db",)
    setting = "`db_worker --no-startup-delay -v0`, one task at a time"
    differs = "A task whose worker was killed stays RUNNING forever."
    drains = 600
    lacks = NO_BULK
    apps = ["django_tasks_db"]
    app = "django_tasks_database"
    backend = "django_tasks_db.DatabaseBackend"

    @property
    def worker(self) -> list[str]:
        return [*MANAGE, "db_worker", "--no-startup-delay", "-v0"]

    def done(self) -> int:
        from django_tasks_db.models import DBTaskResult

        return DBTaskResult.objects.successful().count()
