"""Types of command line arguments: each refuses bad input in a sentence, with exit code 2."""

import argparse
import math

from django.core.exceptions import ImproperlyConfigured

from taskworks.backends.database import DatabaseBackend
from taskworks.framework import task_backends

CENTURY = 36_500  # days


def at_least_one(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def none_or_more(text: str) -> int:
    """A whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, 0 or more")
    return int(text)


def seconds(text: str) -> float:
    """A finite number of seconds, 0 or more."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number of seconds, 0 or more")
    return number


def days(text: str) -> float:
    """A number of days, up to a hundred years."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= CENTURY:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 0 to {CENTURY}")
    return number


def worker_label(text: str) -> str:
    """1 to 64 printable characters."""
    if not 0 < len(text) <= 64 or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 to 64 printable characters")
    return text


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    given = tuple(name.strip() for name in text.split(","))
    if not all(given):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name")
    return given


def database_backend(alias: str) -> DatabaseBackend:
    """The alias of a DatabaseBackend in TASKS."""
    try:
        backend = task_backends[alias]
    except ImproperlyConfigured as error:
        raise argparse.ArgumentTypeError(
            f"TASKS has no backend {alias!r} to work for: {error}"
        ) from None
    if not isinstance(backend, DatabaseBackend):
        raise argparse.ArgumentTypeError(
            f"the backend {alias!r} is a {type(backend).__name__}; a worker needs "
            "taskworks.backends.database.DatabaseBackend in TASKS"
        )
    return backend
