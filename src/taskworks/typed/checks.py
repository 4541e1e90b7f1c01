"""System checks of typed tasks."""

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import conf
from taskworks.definition import Task
from taskworks.discovery import resolve
from taskworks.documentation import page
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.feature_checks import feature_check
from taskworks.options.tasks_setting import unusable
from taskworks.typed.registry import survey
from taskworks.typed.typed_task import refused

HINT = f"What a typed task may be: {page('reference/typed')}"


@feature_check
def check_typed_tasks(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report classes that could not be created, and tasks that cannot be offered."""
    tasks: dict[str, Task[..., Any]] = {}
    problems = [
        checks.Error(problem, hint=HINT, id="taskworks.E030") for problem in _problems(tasks)
    ]
    return [
        *(checks.Error(reason, hint=HINT, id="taskworks.E031") for reason in refused.values()),
        *problems,
        *(message for task in tasks.values() for message in _check(task)),
    ]


def _problems(tasks: dict[str, Task[..., Any]]) -> Iterator[str]:
    if any(unusable()) or not _is_configured():  # taskworks.E008 and E004: the rest follows
        return
    try:
        yield from survey(tasks)
    except ImproperlyConfigured as error:
        yield str(error)


def _is_configured() -> bool:
    try:
        conf()
    except ImproperlyConfigured:
        return False
    return True


def _check(task: Task[..., Any]) -> Iterator[checks.CheckMessage]:
    path = task.module_path
    for fields in (task.inputs, task.outputs):
        try:
            assert fields is not None  # noqa: S101 - offered tasks are typed
            fields.json_schema()
        except Exception as error:  # noqa: BLE001 - querysets and defaults may raise anything
            yield checks.Error(
                f"The {fields and fields.kind} of {path!r} have no JSON Schema: "
                f"{type(error).__name__}: {error}",
                hint=HINT,
                id="taskworks.E033",
            )
    try:
        found = resolve(path)
    except (InvalidTask, TaskNotFound):
        found = None
    if found is None or found.func is not task.func:
        yield checks.Error(
            f"Workers cannot import a typed task: {path!r} does not exist, or is something else.",
            hint="Define the task in an importable module, under its own name.",
            id="taskworks.E032",
        )
