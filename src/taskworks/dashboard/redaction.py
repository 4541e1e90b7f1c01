"""
Mask what looks like a secret before anybody sees it.

Values of keys such as "password" or "api_key" are masked at any depth, and so are passwords in
addresses. A function of the project may mask more, see ``redacted``.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from taskworks.conf import conf
from taskworks.dashboard.access import function_named
from taskworks.discovery import resolve
from taskworks.exceptions import TaskException
from taskworks.models import TaskRun

MASK = "********"
DEEPEST = 50  # levels that are shown
TOO_DEEP = "…"

# What Django hides in its error pages, and more. "pin" and the like only as words.
SECRET = re.compile(
    r"api|auth|token|key|secret|pass|signature|cookie|credential|card|iban"
    r"|(?<![a-z])(?:ssn|pwd|pin|cvv|cvc|otp|jwt|session_?id)(?![a-z])",
    re.IGNORECASE,
)
# Words that only contain one of these.
INNOCENT = re.compile(
    r"authors?(?![a-z])|passengers?|passages?|pass(?:ed|es|ing|ive)|compass|bypass|rapid|capital\w*"
    r"|keyboards?|keywords?|monkeys?|turkeys?|cardinal\w*|cardboard|discard\w*|wildcards?"
    r"|postcards?|scorecards?",
    re.IGNORECASE,
)
HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+(?=@)")

PARTS = ("args", "kwargs", "return_value", "metadata", "options")


def is_secret(name: str) -> bool:
    """Return whether what has this name is masked."""
    words = HUMPS.sub("_", name)
    return bool(SECRET.search(INNOCENT.sub("", words)))


def masked(value: Any) -> Any:
    """Return a decoded value with what looks like a secret replaced by asterisks."""
    return _masked(value, DEEPEST)


def masked_text(text: str) -> str:
    """Return a text with the passwords in addresses masked."""
    return PASSWORD_IN_ADDRESS.sub(rf"\1:{MASK}", text) if "@" in text else text


def redacted(run: TaskRun, part: str) -> Any:
    """
    Return a part of a run (one of PARTS) as people may see it. First secrets are masked, in
    positional arguments by the names of the task's parameters. Then the function in
    ``TASKWORKS["DASHBOARD_REDACT"]``, if there is one, is called with the run, the name of the
    part, and the masked value, and its return value is shown.
    """
    value = _masked_args(run) if part == "args" else masked(getattr(run, part))
    hook = function_named("DASHBOARD_REDACT", conf().dashboard_redact)
    return value if hook is None else _answer(hook, run, part, value)


def outline(value: Any) -> Any:
    """Return only the keys and types of a value, for those who may not see it."""
    return _outline(value, DEEPEST)


def _masked(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return masked_text(value)
    if not isinstance(value, Mapping | list):
        return value
    if depth == 0:
        return TOO_DEEP
    if isinstance(value, list):
        return [_masked(item, depth - 1) for item in value]
    return {
        key: MASK if is_secret(str(key)) and item is not None else _masked(item, depth - 1)
        for key, item in value.items()
    }


def _masked_args(run: TaskRun) -> Any:
    args = run.args
    if not isinstance(args, list):
        return masked(args)
    names = _names_of_args(run.called_path, len(args))
    return [
        MASK if is_secret(name) and item is not None else masked(item)
        for name, item in zip(names, args, strict=True)
    ]


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


def _answer(hook: Callable[..., Any], run: TaskRun, part: str, value: Any) -> Any:
    try:
        return hook(run, part, value)
    except Exception as error:  # noqa: BLE001 - what cannot be masked is not shown
        return f"Not shown: DASHBOARD_REDACT has raised {type(error).__name__}."


def _outline(value: Any, depth: int) -> Any:
    if depth and isinstance(value, Mapping):
        return {key: _outline(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, list):
        return [_outline(item, depth - 1) for item in value]
    return f"({NAMES_OF_TYPES.get(type(value), type(value).__name__)})"


NAMES_OF_TYPES: dict[type, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
