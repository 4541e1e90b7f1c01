"""
What people may see of a run: secrets are masked, and a function of the project may mask more.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from taskworks.actions.bulk_run import act_in_background
from taskworks.conf import conf
from taskworks.dashboard.access import function_named
from taskworks.discovery import resolve
from taskworks.exceptions import TaskException
from taskworks.filtering.parsing import masked_texts
from taskworks.masking import MASK, is_secret, masked
from taskworks.models import TaskRun

PARTS = ("args", "kwargs", "return_value", "metadata", "options")
MOST_DIGITS = 4  # of the position of an argument


def redacted(run: TaskRun, part: str) -> Any:
    """
    Return a part of a run (one of PARTS) as people may see it. First secrets are masked, in
    positional arguments by the names of the task's parameters. Then the function in
    ``TASKWORKS["DASHBOARD_REDACT"]``, if there is one, is called with the run, the name of the
    part, and the masked value, and its return value is shown.
    """
    match part:
        case "args":
            value = _masked_args(run)
        case "kwargs":
            value = _masked_kwargs(run)
        case _:
            value = masked(getattr(run, part))
    return _as_the_project_shows(run, part, value)


def redacted_argument(run: TaskRun, name: str, value: Any) -> Any:
    """Return a value that an argument of the run has or had; the name may be a position."""
    shown = masked({_name_of_argument(run, name): value})
    [known] = shown
    answer = _as_the_project_shows(run, "kwargs", shown)
    return answer.get(known, MASK) if isinstance(answer, Mapping) else answer


def name_at(path: str, position: int) -> str:
    """Return the name of the parameter of a task at this position, "" if it is not known."""
    return _names_of_args(path, position + 1)[position]


def _masked_args(run: TaskRun) -> Any:
    args = run.args
    if not isinstance(args, list):
        return masked(args)
    names = _names_of_args(run.called_path, len(args))
    return [
        MASK if is_secret(name) and item is not None else masked(item)
        for name, item in zip(names, args, strict=True)
    ]


def _masked_kwargs(run: TaskRun) -> Any:
    """Return the keyword arguments; of a run that acts on others, its filter has arguments too."""
    kwargs = masked(run.kwargs)
    if run.task_path == act_in_background.module_path and isinstance(kwargs, dict):
        return {**kwargs, "texts": masked_texts(kwargs.get("texts"))}
    return kwargs


def _name_of_argument(run: TaskRun, name: str) -> str:
    if not (name.isascii() and name.isdecimal() and len(name) <= MOST_DIGITS):
        return name
    return name_at(run.called_path, int(name)) or name


def _names_of_args(path: str, number: int) -> list[str]:
    """Return the names of the parameters for so many positional arguments, "" if unknown."""
    try:
        task = resolve(path)
        parameters = [*inspect.signature(task.func).parameters.values()]
    except (TaskException, ImportError, AttributeError, TypeError, ValueError):
        return [""] * number
    if task.takes_context:
        parameters = parameters[1:]
    names = [one.name for one in parameters if one.kind is not one.KEYWORD_ONLY]
    last = names[-1] if names else ""
    return [names[place] if place < len(names) else last for place in range(number)]


def _as_the_project_shows(run: TaskRun, part: str, value: Any) -> Any:
    hook = function_named("DASHBOARD_REDACT", conf().dashboard_redact)
    return value if hook is None else _answer(hook, run, part, value)


def _answer(hook: Callable[..., Any], run: TaskRun, part: str, value: Any) -> Any:
    try:
        return hook(run, part, value)
    except Exception as error:  # noqa: BLE001 - what cannot be masked is not shown
        return f"Not shown: DASHBOARD_REDACT has raised {type(error).__name__}."
