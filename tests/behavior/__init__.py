"""What a user may rely on, whatever the database: helpers of these tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils.module_loading import import_string

from taskworks import Task, TaskResult
from taskworks.backends.database import DatabaseBackend
from taskworks.database.clock import DatabaseClock
from taskworks.models import TaskRun
from tests import engine

DATABASE_BACKEND = engine.BACKEND
LABELLING_BACKEND = "tests.behavior.LabellingBackend"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTask(Task):
    """A task with an option of its own."""

    label: str = "none"


def backend_class() -> type[DatabaseBackend]:
    """The class of the default backend, by which signals are sent."""
    return import_string(engine.BACKEND)


class LabellingBackend(DatabaseBackend):
    task_class = LabelledTask


def run_worker(*arguments: str, **options: Any) -> str:
    """Run all that is ready in this process, and return what our own worker printed."""
    if engine.CELERY_POOL and "--backend" not in arguments:
        from tests.celery_worker.here import run_celery_worker

        run_celery_worker(engine.CELERY_POOL, *arguments, **options)
        return ""
    output = StringIO()
    call_command("taskworks", "worker", "--batch", *arguments, stdout=output, **options)
    return output.getvalue()


def run_of(result: TaskResult) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def rewrite(result: TaskResult, **columns: Any) -> None:
    """Change the row of a run behind the store's back."""
    assert TaskRun.objects.filter(id=result.id).update(**columns) == 1


def database_now() -> Any:
    """The database's clock, as an expression."""
    return DatabaseClock()


def executed(result: TaskResult, *arguments: str) -> TaskResult:
    """The result after a worker has run."""
    run_worker(*arguments)
    result.refresh()
    return result


def not_with_celery(why: str) -> pytest.MarkDecorator:
    """A test of what a Celery worker has not, or has otherwise."""
    return pytest.mark.skipif(engine.CELERY_POOL is not None, reason=f"with Celery: {why}")


# Of what is heard or logged in the process that executes a run: with prefork, that is a child.
not_in_celerys_child = pytest.mark.skipif(
    engine.CELERY_POOL == "prefork", reason="with prefork: it happens in a child of Celery's"
)


@contextmanager
def refused(error: type[Exception], *parts: str) -> Iterator[None]:
    """Nothing is stored, and the error's sentence has these parts."""
    before = TaskRun.objects.count()
    with pytest.raises(error) as caught:
        yield
    for part in parts:
        assert part in str(caught.value)
    assert TaskRun.objects.count() == before


@contextmanager
def received(signal: Any) -> Iterator[list[dict[str, Any]]]:
    """What is sent by a signal of the standard."""
    sent: list[dict[str, Any]] = []

    def receive(**kwargs: Any) -> None:
        sent.append(kwargs)

    signal.connect(receive)
    try:
        yield sent
    finally:
        signal.disconnect(receive)


Enqueue = Callable[..., TaskResult]
# pytest-django's releases name the class of its fixture differently.
Settings = Any


class Grumpy:
    """What has no attributes, and says so in its own way."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


grumpy = Grumpy()
