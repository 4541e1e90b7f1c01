"""From the body of a request to a run: everything is validated before anything is written."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from rest_framework.exceptions import APIException, ValidationError

from taskworks import framework
from taskworks.conf import nearest
from taskworks.exceptions import InvalidInputs
from taskworks.result import TaskResult, as_our_result
from taskworks.store.enqueueing import KeyUsedOtherwise, Once
from taskworks.typed import registry

LONGEST_KEY = 200  # characters
MOST_UNKNOWN = 20  # fields of a body of which its refusal tells
KEY = rf"[!-~]{{1,{LONGEST_KEY}}}"
REQUIRED = "This field is required."


class UsedOtherwise(APIException):
    status_code = 422
    default_code = "key_used_otherwise"


class Started(NamedTuple):
    """A run, and whether this request has started it."""

    result: TaskResult[..., Any]
    is_new: bool


def asked_for(body: Any) -> tuple[framework.Task, dict[str, Any]]:
    """The offered task and the inputs that a body names, these not yet looked at."""
    if not isinstance(body, dict):
        raise ValidationError(
            {"non_field_errors": ["The body must be an object with the keys task and inputs."]}
        )
    errors = {
        **{name: [REQUIRED] for name in ("task", "inputs") if name not in body},
        **{name: ["Unknown field."] for name in _unknown(body)},
    }
    task = None
    if "task" in body:
        task = _task(body["task"], errors)
    if "inputs" in body and not isinstance(body["inputs"], dict):
        errors["inputs"] = [_no_object(body["inputs"])]
    if errors or task is None:
        raise ValidationError(errors)
    return task, body["inputs"]


def _unknown(body: dict[str, Any]) -> list[str]:
    return [name for name in body if name not in ("task", "inputs")][:MOST_UNKNOWN]


def start(task: Any, inputs: Mapping[str, Any], owner: str, key: str | None = None) -> Started:
    """Enqueue it for this owner, unless the key has started one before."""
    try:
        kwargs = task.inputs.encoded(inputs)
        return _enqueued(task.using(owner=owner), kwargs, once_of(owner, key, task, kwargs))
    except InvalidInputs as error:
        raise ValidationError({"inputs": error.errors}) from None
    except KeyUsedOtherwise as error:
        raise UsedOtherwise({"idempotency_key": [str(error)]}) from None


def validated_key(given: str | None) -> str | None:
    """An Idempotency-Key as it was sent; raise ValidationError for one that cannot be."""
    if given is None or re.fullmatch(KEY, given):
        return given
    reason = f"It must be 1 to {LONGEST_KEY} printable ASCII characters without a space."
    raise ValidationError({"idempotency_key": [reason]})


def once_of(
    owner: str, key: str | None, task: framework.Task, kwargs: Mapping[str, Any]
) -> Once | None:
    """What a key is stored as: nobody's key is another's."""
    if key is None:
        return None
    asked = _digest([task.module_path, kwargs]).hex()
    # As one of version 5, since MariaDB stores no UUID that is of none.
    return Once(UUID(bytes=_digest([owner, key])[:16], version=5), asked)


def _enqueued(task: framework.Task, kwargs: dict[str, Any], once: Once | None) -> Started:
    backend: Any = task.get_backend()
    if once is None or not hasattr(backend, "enqueue_once"):  # it keeps nothing, then
        return Started(as_our_result(backend.enqueue(task, [], kwargs)), is_new=True)
    return Started(*backend.enqueue_once(task, [], kwargs, once))


def _task(name: Any, errors: dict[str, list[str]]) -> framework.Task | None:
    if not isinstance(name, str):
        errors["task"] = ["Not a valid string."]
        return None
    task = registry.find(name)
    if task is None:
        offered = registry.offered().items()
        known = [name for name, task in offered if not _is_for_some(task)]
        errors["task"] = [f"Invalid task: no task is called {name[:100]!r}.{_close(name, known)}"]
    return task


def _is_for_some(task: Any) -> bool:
    return bool(task.typed.permission_classes)


def _close(name: str, known: list[str]) -> str:
    """The one probably meant, if there is one."""
    hint = nearest(name[:100], known)
    return hint if hint.startswith(" Did you mean") else ""


def _no_object(inputs: Any) -> str:
    if inputs is None:
        return "This field may not be null."
    return f"Expected an object with an entry for each input, not {_kind(inputs)}."


def _kind(value: Any) -> str:
    match value:
        case list():
            return "a list"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case _:
            return "a number"


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
