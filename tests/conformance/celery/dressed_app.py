"""Our shim, dressed up as the app that Celery's tests have."""

import sys
from types import FunctionType, SimpleNamespace
from typing import Any

from django.utils import timezone

from taskworks.celery import App, AsyncResult, CeleryTask, shared_task
from taskworks.celery.not_carried import INSTEAD
from taskworks.celery.options import OF_A_TASK, OF_A_TASK_WITHOUT_EFFECT
from taskworks.celery.values import encoded
from taskworks.models import TaskRun

KNOWN = {*OF_A_TASK, *OF_A_TASK_WITHOUT_EFFECT, *INSTEAD}


class Refused:
    """Stands for a task that is refused. Whoever uses it gets the reason."""

    def __init__(self, reason: Exception) -> None:
        vars(self)["_reason"] = reason

    def __getattr__(self, name: str) -> Any:
        raise self._reason


class Backend:
    """Writes what tests say has become of a task, as a worker would have written it."""

    def mark_as_done(self, task_id: str, result: Any) -> None:
        self._store(task_id, state="successful", return_value=encoded(result))

    def mark_as_failure(self, task_id: str, exc: Any, traceback: str = "") -> None:
        self._store(task_id, state="failed", errors=[_error(exc, traceback)])

    def mark_as_retry(self, task_id: str, exc: Any, traceback: str = "") -> None:
        self._store(task_id, state="ready", errors=[_error(exc, traceback)])

    def _store(self, task_id: str, **columns: Any) -> None:
        finished = timezone.now() if columns["state"] != "ready" else None
        run = TaskRun.objects.get(id=_example.delay(1).id)
        TaskRun.objects.filter(id=run.id).delete()
        run.pk = task_id
        for name, value in {**columns, "finished_at": finished, "lane": None}.items():
            setattr(run, name, value)
        run.save(force_insert=True)


class DressedApp(App):
    """``taskworks.celery.App``, whose tasks may be functions in functions, with attributes."""

    def __init__(self) -> None:
        super().__init__("of the tests")
        self.conf = SimpleNamespace()
        self.backend = Backend()
        self.AsyncResult = AsyncResult
        self.task = self._task

    def _task(self, *given: Any, **options: Any) -> Any:
        if given:
            return self._made(given[0], options)
        return lambda function: self._made(function, options)

    def _made(self, function: Any, options: dict[str, Any]) -> Any:
        own = {name: options.pop(name) for name in [*options] if name not in KNOWN}
        if not isinstance(function, FunctionType):
            return shared_task(**options)(function)
        try:
            task = shared_task(**options)(_of_a_module(function))
        except (TypeError, ValueError) as error:
            return Refused(error)
        module = sys.modules[function.__module__]
        if isinstance(getattr(module, function.__name__, task), CeleryTask):
            setattr(module, function.__name__, task)
        for name, value in own.items():
            setattr(task, name, value)
        return task


def _of_a_module(function: Any) -> Any:
    """Return the function as one that a worker could find."""
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__, made.__doc__ = function.__kwdefaults__, function.__doc__
    made.__module__, made.__qualname__ = function.__module__, function.__name__
    return made


def _error(exc: BaseException, traceback: str) -> dict[str, Any]:
    name = type(exc).__qualname__
    return {
        "exception_class_path": f"{type(exc).__module__}.{name}",
        "traceback": f"{traceback}\n{name}: {exc}",
        "attempt": 1,
        "worker_id": "of the tests",
        "at": timezone.now().isoformat(),
    }


@shared_task(name="tests.conformance.example")
def _example(number: int) -> int:
    return number
