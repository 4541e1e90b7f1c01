"""What lies in rows, in migrations and in caches, and must be read by the next release."""

import io
import pickle
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management import call_command
from django.db.migrations.writer import OperationWriter
from django.test import override_settings
from rest_framework.test import APIClient

from taskworks import Backoff, TaskTimeout, schedules
from taskworks.models import Schedule, TaskRun
from tests import tasks
from tests.behavior import run_of, run_worker
from tests.endpoints.models import Order
from tests.rest.offered import Add, Tells
from tests.surface import inside, names
from tests.surface.configuration import SOURCES
from tests.surface.record import common_shape, shape

OURS = re.compile(r"taskworks(?:\.[A-Za-z_]\w*)+")
DECLARED = "declared by tests.surface"
HOURLY = "0 * * * *"


def observed() -> dict[str, Any]:
    """Return paths and keys that are stored."""
    return {
        "run": _run(),
        "run of an endpoint": _run_of_an_endpoint(),
        "run of a schedule's callable": _run_of_a_callable(),
        "declaration of a schedule": _declaration(),
        "path of a typed task": Add.task.module_path,
        "paths of exceptions": sorted({*_exceptions()}),
        "paths in migrations": _paths_in_migrations(),
        "operations in a project's migrations": dict(_operations()),
        "paths in pickles": _paths_in_pickles(),
        "paths on Django 5.2": sorted({*_of_the_backport()}),
        "notifications": _notifications(),
    }


def _run() -> dict[str, Any]:
    """Return what JSON columns of runs hold."""
    options = {
        "max_attempts": 2,
        "backoff": Backoff(initial=0, jitter=0),
        "retry_on": (TaskTimeout, ValueError),
        "timeout": float("inf"),
    }
    told, failed = Tells.enqueue(), tasks.fail.using(**options).enqueue()
    run_worker()
    cancelled = tasks.noop.enqueue()
    cancelled.cancel()
    errors = [*run_of(failed).errors, *run_of(cancelled).errors]
    return {
        "options": run_of(failed).options,
        "errors": [common_shape(map(shape, errors))],
        "messages": shape(run_of(told).messages),
    }


@override_settings(ROOT_URLCONF="tests.endpoints.urls")
def _run_of_an_endpoint() -> dict[str, Any]:
    Order.objects.create(pk=7, number="A7")
    APIClient().post("/Everything/A7/", headers={"X-Correlation-ID": "of a request"})
    return _columns(TaskRun.objects.get(task_path__endswith="Everything.mail"))


def _run_of_a_callable() -> dict[str, Any]:
    path = "tests.schedules.bell.hear"
    schedules.task_with_callable(path, "bell", HOURLY, overlap="queue").save()
    call_command("taskworks", "schedules", "--run-now", "bell", stdout=io.StringIO())
    columns = _columns(TaskRun.objects.latest("id"))
    return {**columns, "metadata": shape(columns["metadata"])}


def _columns(run: TaskRun) -> dict[str, Any]:
    columns = ("task_path", "args", "kwargs", "options", "metadata")
    return {name: getattr(run, name) for name in columns}


def _declaration() -> dict[str, Any]:
    """Return what a schedule's row keeps of its declaration, and when that is gone."""
    schedules.every(hours=1, label=DECLARED)(tasks.noop)
    try:
        run_worker()
    finally:
        del inside.declarations[DECLARED]
    row = Schedule.objects.get(label=DECLARED)
    declared = row.declared
    run_worker()
    row.refresh_from_db()
    return {"declared": declared, "gone": [*row.declared]}


def _exceptions() -> Iterator[str]:
    """Yield what is stored of each exception of ours that users know."""
    for path in names.paths():
        value = names.found(path)
        if isinstance(value, type) and issubclass(value, BaseException) and names.is_ours(value):
            yield _path(value)


def _paths_in_migrations() -> dict[str, list[str]]:
    return {
        path.stem: sorted({*OURS.findall(path.read_text())})
        for path in sorted((SOURCES / "migrations").glob("0*.py"))
    }


def _operations() -> Iterator[tuple[str, Any]]:
    """Yield the operations, as a migration that is squashed names them and their arguments."""
    path, enabled = "tests.schedules.bell.noop", {"enabled": True}
    for operation in (
        schedules.AddSchedule("bell", path, HOURLY, **enabled),
        schedules.ChangeSchedule("bell", before=enabled, after={"enabled": False}),
        schedules.RemoveSchedule("bell", path, HOURLY, **enabled),
    ):
        _, imports = OperationWriter(operation).serialize()
        yield _path(type(operation)), [sorted(imports), *operation.deconstruct()[1:]]


def _paths_in_pickles() -> list[str]:
    """Return what is imported to unpickle a task, a result, rows and options."""
    result = tasks.noop.using(backoff=Backoff()).enqueue()
    pickled = pickle.dumps([result.task, result, run_of(result), Schedule(label="bell")])
    reader = _Reader(io.BytesIO(pickled))
    reader.load()
    return sorted(path for path in reader.paths if names.is_in_ours(path))


class _Reader(pickle.Unpickler):
    """Notes what it imports."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.paths: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.paths.add(f"{module}.{name}")
        return super().find_class(module, name)


def _of_the_backport() -> Iterator[str]:
    """Yield what stands for the standard's classes where Django does not have them."""
    for module in (inside.backport, inside.backport_exceptions):
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield _path(value)


def _notifications() -> dict[str, Any]:
    sent: list[str] = []
    inside.Notification("default", "default", "mail", sent.append)()
    return {
        "channels": [inside.CHANNEL, inside.WATCHERS_CHANNEL],
        "a run is ready": sent,
        "a schedule was saved": inside.SCHEDULE_SAVED,
        "tell of this run": inside.asking_for([UUID(int=7)]),
        "news of this run": inside.news_of([UUID(int=7)]),
        "the task of a ticket": inside.TASK_NAME,
    }


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
