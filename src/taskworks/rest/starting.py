"""From the body of a request to a run: everything is validated before anything is written."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from rest_framework import serializers
from rest_framework.exceptions import APIException, ValidationError

from taskworks import framework
from taskworks.conf import nearest
from taskworks.exceptions import AlreadyEnqueued, InvalidInputs
from taskworks.options.owner import ANYBODY
from taskworks.rest.serializers import StrictSerializer
from taskworks.result import TaskResult, as_our_result
from taskworks.store.enqueueing import KeyUsedOtherwise, Once
from taskworks.typed import registry

MAX_KEY_LENGTH = 200  # characters
MIN_SECRET_LENGTH = 32  # characters of a key that alone says whose it is
KEY_CHARACTERS = "[!-~]+"  # printable ASCII without a space
MAX_TASK_NAME_SHOWN = 100  # characters of an unknown name, in an error


class IdempotencyKeyReused(APIException):
    status_code = 422
    default_code = "key_used_otherwise"


class EqualRunStands(APIException):
    status_code = 409
    default_code = "already_enqueued"


# The body.


class TaskField(serializers.Field):
    """The name of an offered task, read as that task."""

    def to_internal_value(self, data: Any) -> framework.Task:
        if not isinstance(data, str):
            raise ValidationError("Not a valid string.")
        task = registry.find(data)
        if task is None:
            name = data[:MAX_TASK_NAME_SHOWN]
            raise ValidationError(f"Invalid task: no task is called {name!r}.{_hint(name)}")
        return task


class InputsField(serializers.Field):
    """The inputs of a task, by their names; the task validates them."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise ValidationError(
                f"Expected an object with an entry for each input, not {_kind(data)}."
            )
        return data


class StartTaskSerializer(StrictSerializer):
    """The body of a request that starts a task. Other keys are errors."""

    task = TaskField()
    inputs = InputsField()

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if not isinstance(data, dict):
            text = "The body must be an object with the keys task and inputs."
            raise ValidationError({"non_field_errors": [text]})
        return super().run_validation(data)


def _hint(name: str) -> str:
    # Tasks for some users are not named to the others.
    known = [each for each, task in registry.offered().items() if not _is_for_some(task)]
    hint = nearest(name, known)
    return hint if hint.startswith(" Did you mean") else ""


def _is_for_some(task: Any) -> bool:
    return bool(task.typed.permission_classes)


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


# The key.


class Key(NamedTuple):
    """An Idempotency-Key, and whose it is: equal keys of two users are different."""

    text: str
    owner: str
    session: str | None = None  # of an anonymous user


def validated_key(request: Any, owner: str) -> Key | None:
    """
    Return the key of a request, if it has one. Raise ValidationError for a malformed one, and for
    one of an anonymous user that others could guess.
    """
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if len(given) > MAX_KEY_LENGTH or not re.fullmatch(KEY_CHARACTERS, given):
        raise _bad_key(
            f"It must be 1 to {MAX_KEY_LENGTH} printable ASCII characters without a space."
        )
    key = Key(given, owner, _session_of(request) if owner == ANYBODY else None)
    if owner == ANYBODY and key.session is None and len(given) < MIN_SECRET_LENGTH:
        raise _bad_key(
            "The key of a user who is not signed in and has no session must be "
            f"{MIN_SECRET_LENGTH} random characters or more: whoever knows it sees its run."
        )
    return key


def _session_of(request: Any) -> str | None:
    session = getattr(request, "session", None)
    if session is None:
        return None
    key: str | None = session.session_key
    # Not one of signed cookies, which two visitors may have alike, nor one that a client made up.
    return key if key and session.exists(key) else None


def _bad_key(reason: str) -> ValidationError:
    return ValidationError({"idempotency_key": [reason]})


def once_of(key: Key | None, task: framework.Task, kwargs: Mapping[str, Any]) -> Once | None:
    """Return what is stored of a key."""
    if key is None:
        return None
    asked = _digest([task.module_path, kwargs]).hex()
    whose = [key.owner] if key.session is None else [key.owner, key.session]
    # Version 5, because MariaDB does not store a UUID without a version.
    return Once(UUID(bytes=_digest([*whose, key.text])[:16], version=5), asked)


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()


# The run.


class Started(NamedTuple):
    """A run, and whether this request has started it."""

    result: TaskResult[..., Any]
    is_new: bool


def start(task: Any, inputs: Mapping[str, Any], owner: str, key: Key | None = None) -> Started:
    """
    Enqueue a run for this owner, unless the key has started it before. Raise ValidationError for
    invalid inputs, IdempotencyKeyReused if the key has started something else, and EqualRunStands
    if the task is unique, and refuses a second run, or an equal one is somebody else's.
    """
    try:
        kwargs = task.inputs.encoded(inputs)
        return _enqueued(task.using(owner=owner), kwargs, once_of(key, task, kwargs))
    except InvalidInputs as error:
        raise ValidationError({"inputs": error.errors}) from None
    except AlreadyEnqueued:
        raise EqualRunStands(
            {"non_field_errors": ["An equal run is not finished yet, or was started recently."]}
        ) from None
    except KeyUsedOtherwise as error:
        # Without the run's id, unless the user has proved to be the one who started it.
        reason = str(error) if owner != ANYBODY else "This key was used for a different request."
        raise IdempotencyKeyReused({"idempotency_key": [reason]}) from None


def _enqueued(task: framework.Task, kwargs: dict[str, Any], once: Once | None) -> Started:
    backend: Any = task.get_backend()
    if not hasattr(backend, "enqueue_once"):  # other backends store no keys
        result = as_our_result(backend.enqueue(task, [], kwargs))
        return Started(result, is_new=result.is_new is not False)
    return Started(*backend.enqueue_once(task, [], kwargs, once))
