"""Types of command-line arguments. They refuse bad input in a sentence, with exit code 2."""

import argparse
import json
import math
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from taskworks.backends.database import DatabaseBackend
from taskworks.conf import nearest
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, InvalidTaskBackend, TaskNotFound
from taskworks.framework import Task
from taskworks.models import RunState
from taskworks.options.tasks_setting import backend_of, unusable
from taskworks.workflows.workflow_result import WorkflowStatus

MAX_DAYS = 36_500  # a hundred years


def positive_integer(text: str) -> int:
    """An integer, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def non_negative_integer(text: str) -> int:
    """An integer, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a non-negative integer, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A finite number of seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(
            f"must be a finite number of seconds, 0 or more, not {text!r}"
        )
    return number


def days(text: str) -> float:
    """A number of days, up to a hundred years."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_DAYS:
        raise argparse.ArgumentTypeError(
            f"must be a number of days from 0 to {MAX_DAYS}, not {text!r}"
        )
    return number


def worker_label(text: str) -> str:
    """1 to 64 printable characters."""
    if not 0 < len(text) <= 64 or not text.isprintable():
        raise argparse.ArgumentTypeError(f"must be 1 to 64 printable characters, not {text!r}")
    return text


def address(text: str) -> tuple[str, int]:
    """A port from 0 to 65535, which may follow a host and a colon; "" is every host."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(
            f"must be a port, or a host and a port such as 127.0.0.1:8000, not {text!r}"
        )
    return host, int(port)


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    given = tuple(name.strip() for name in text.split(","))
    if not all(given):
        raise argparse.ArgumentTypeError(f"contains an empty name: {text!r}")
    return given


def database_backend(alias: str) -> DatabaseBackend:
    """The alias of a DatabaseBackend in TASKS. Its errors are about TASKS, not the argument."""
    try:
        backend = backend_of(alias)
    except InvalidTaskBackend as error:
        raise argparse.ArgumentError(None, str(error)) from None
    if not isinstance(backend, DatabaseBackend):
        raise argparse.ArgumentError(
            None,
            f"The backend {alias!r} in TASKS must be a "
            f"taskworks.backends.database.DatabaseBackend; it is of type {type(backend).__name__}.",
        )
    return backend


def worker_id(text: str) -> UUID:
    """The id of a worker."""
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be the id of a worker, not {text!r}") from None


def workflow_status(text: str) -> WorkflowStatus:
    """The status of a workflow."""
    try:
        return WorkflowStatus(text)
    except ValueError:
        hint = nearest(text, [status.value for status in WorkflowStatus])
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the status of a workflow.{hint}"
        ) from None


def workflow_id(text: str) -> UUID:
    """The full id of a workflow."""
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be the full id of a workflow, such as 01a1f8df-5ec6-7cde-b965-e85c13a6d376, "
            f"not {text!r}"
        ) from None


def run_id(text: str) -> UUID:
    """The full id of a run."""
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be the full id of a run, such as 01a1f8df-5ec6-7cde-b965-e85c13a6d376, "
            f"not {text!r}"
        ) from None


def state(text: str) -> RunState:
    """The state of a run."""
    try:
        return RunState(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the state of a run.{nearest(text, RunState.values)}"
        ) from None


def task(path: str) -> Task:
    """The task at a dotted path."""
    try:
        return resolve(path)
    except InvalidTask as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    except TaskNotFound as error:
        _refuse_unusable_backends()
        reason = error.reason
        raise argparse.ArgumentTypeError(
            f"{path!r} cannot be imported: {type(reason).__name__}: {reason}"
        ) from error


def _refuse_unusable_backends() -> None:
    """No task of such a backend can be imported; the import's own error does not say so."""
    for error in unusable():
        raise argparse.ArgumentError(None, str(error))


def integer(text: str) -> int:
    """An integer, which may be negative."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be an integer, not {text!r}") from None


def point_in_time(text: str) -> datetime | timedelta:
    """An ISO 8601 date and time, in TIME_ZONE if it has no offset; or seconds from now."""
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        return _date_and_time(text)


def _date_and_time(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
        if moment is None:
            raise ValueError
        return _as_stored(moment)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            "must be a date and time such as 2026-11-20T12:30, or a finite number of seconds from "
            f"now, not {text!r}"
        ) from None


def _as_stored(moment: datetime) -> datetime:
    if timezone.is_aware(moment) == settings.USE_TZ:
        return moment
    return timezone.make_aware(moment) if settings.USE_TZ else timezone.make_naive(moment)


def json_value(text: str) -> Any:
    """Any JSON."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"""must be JSON, such as '{{"approved": true}}' or '"yes"', not {text!r}: {error}"""
        ) from None


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def json_list(text: str) -> list[Any]:
    """A JSON array."""
    value: list[Any] = _json(text, list, 'a JSON array such as [1, "two"]')
    return value


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    value: dict[str, Any] = _json(text, dict, 'a JSON object such as {"to": "Ada"}')
    return value


def _json(text: str, kind: type, expected: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"must be {expected}, not {text!r}: {error}") from None
    if type(value) is not kind:
        raise argparse.ArgumentTypeError(f"must be {expected}, not {text!r}")
    return value
