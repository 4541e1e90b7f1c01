"""What ``manage.py check`` says about endpoints."""

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from django.core import checks
from django.utils.module_loading import import_string

from taskworks.documentation import page
from taskworks.feature_checks import check_of_a_part
from taskworks.framework import DummyBackend, ImmediateBackend

# Classes with deferrable tasks.
endpoints: WeakSet[type] = WeakSet()
# Why classes could not be made, by their paths: whoever imports them may not say so.
refused: dict[str, str] = {}

HINT = f"What an endpoint's tasks may be: {page('reference/endpoints')}"


@check_of_a_part
def check_endpoints(**kwargs: Any) -> list[checks.CheckMessage]:
    """What was refused, and what can only be told when all is imported."""
    return [
        *(checks.Error(reason, hint=HINT, id="taskworks.E020") for reason in refused.values()),
        *(message for endpoint in endpoints for message in _check(endpoint)),
    ]


def _check(endpoint: type) -> Iterator[checks.CheckMessage]:
    path = f"{endpoint.__module__}.{endpoint.__qualname__}"
    if _found(path) is not endpoint:
        yield checks.Error(
            f"No worker could find the tasks of an endpoint: {path!r} is something else, or is "
            "not there.",
            hint="Define the class in an importable module, under its own name.",
            obj=endpoint,
            id="taskworks.E021",
        )
    plan: Any = vars(endpoint)["_plan"]
    for task in plan.deferrable:
        backend = plan.runs[task.name].get_backend()
        if plan.follows(task) and not can_follow(backend):
            yield checks.Error(
                f"{endpoint.__qualname__}.{task.name} depends on {task.depends_on!r}, and the "
                f"backend {backend.alias!r}, a {type(backend).__name__}, cannot have a run wait "
                "for another.",
                hint="Use a DatabaseBackend, or call the one from the other.",
                obj=endpoint,
                id="taskworks.E022",
            )


def can_follow(backend: Any) -> bool:
    """Whether runs of this backend can wait for others, or do not need to."""
    return hasattr(backend, "enqueue_after") or isinstance(backend, ImmediateBackend | DummyBackend)


def _found(path: str) -> Any:
    try:
        return import_string(path)
    except Exception:  # noqa: BLE001 - a module may raise anything while it is imported
        return None
