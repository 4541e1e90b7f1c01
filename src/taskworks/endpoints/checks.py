"""System checks of endpoints."""

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from django.core import checks
from django.utils.module_loading import import_string

from taskworks.documentation import page
from taskworks.feature_checks import feature_check
from taskworks.framework import DummyBackend, ImmediateBackend, InvalidTaskBackend
from taskworks.options.tasks_setting import backend_of

# Classes with deferrable tasks.
endpoints: WeakSet[type] = WeakSet()
# Errors of classes that could not be created, by path: their importer may have hidden the error.
refused: dict[str, str] = {}

HINT = f"What an endpoint's tasks may be: {page('reference/endpoints')}"


@feature_check
def check_endpoints(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report classes that could not be created, and what only shows when all are imported."""
    return [
        *(checks.Error(reason, hint=HINT, id="taskworks.E020") for reason in refused.values()),
        *(message for endpoint in endpoints for message in _check(endpoint)),
    ]


def _check(endpoint: type) -> Iterator[checks.CheckMessage]:
    path = f"{endpoint.__module__}.{endpoint.__qualname__}"
    if _imported(path) is not endpoint:
        yield checks.Error(
            f"Workers cannot import the tasks of an endpoint: {path!r} does not exist, or is "
            "something else.",
            hint="Define the class in an importable module, under its own name.",
            obj=endpoint,
            id="taskworks.E021",
        )
    plan: Any = vars(endpoint)["_plan"]
    for task in plan.deferrable:
        try:
            backend = backend_of(plan.background_tasks[task.name].backend)
        except InvalidTaskBackend:  # another check reports it
            return
        if plan.waits_for(task) and not can_wait(backend):
            yield checks.Error(
                f"{endpoint.__qualname__}.{task.name} depends on {task.depends_on!r}, but the "
                f"backend {backend.alias!r}, a {type(backend).__name__}, cannot make a run wait "
                "for another.",
                hint="Use a DatabaseBackend, or call one function from the other.",
                obj=endpoint,
                id="taskworks.E022",
            )


def can_wait(backend: Any) -> bool:
    """Return whether runs of this backend can wait for others, or do not need to."""
    return hasattr(backend, "enqueue_after") or isinstance(backend, ImmediateBackend | DummyBackend)


def _imported(path: str) -> Any:
    try:
        return import_string(path)
    except Exception:  # noqa: BLE001 - a module may raise anything while it is imported
        return None
