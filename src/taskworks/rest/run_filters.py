"""Which runs a list shows: filters, and a page that begins after a run's id."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError

from taskworks.models import TaskRun
from taskworks.models.run import TaskRunQuerySet
from taskworks.rest.representation import STATUSES, states_of
from taskworks.typed import registry

USUAL, MOST = 50, 100  # runs on a page
LONGEST_NAME = 512  # characters


class Page:
    """A page of a list, as a request's query asks for it."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self._query = query
        self._errors: dict[str, list[str]] = {}
        self.mine = self._read("mine", _flag, default=False)
        self._size = self._read("page_size", _size, default=USUAL)
        self._after = self._read("cursor", _id)
        self._filters = {
            "task_path": self._read("task", _path),
            "state__in": self._read("status", _states),
            "queue_name": self._read("queue", _name),
            "enqueued_at__gte": self._read("created_after", _moment),
            "enqueued_at__lt": self._read("created_before", _moment),
            "id__lt": self._after,
        }
        if self._errors:
            raise ValidationError(self._errors)

    def of(self, runs: TaskRunQuerySet) -> tuple[list[TaskRun], UUID | None]:
        """These runs, the newest first, and the id to go on after; None at the end."""
        wanted = {name: value for name, value in self._filters.items() if value is not None}
        found = list(runs.filter(**wanted).order_by("-id")[: self._size + 1])
        page = found[: self._size]
        return page, page[-1].id if len(found) > len(page) else None

    def _read(self, name: str, read: Callable[[str], Any], default: Any = None) -> Any:
        if name not in self._query:
            return default
        try:
            return read(self._query[name])
        except ValueError as error:
            self._errors[name] = [str(error)]
            return default


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("It must be true or false.")
    return text == "true"


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST))):
        raise ValueError(f"It must be a whole number from 1 to {MOST}.")
    size = int(text)
    if not 1 <= size <= MOST:
        raise ValueError(f"It must be a whole number from 1 to {MOST}.")
    return size


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("It is no cursor: follow the link in next.") from None


def _path(text: str) -> str:
    """Of an offered task by its name, of any other by its path."""
    task = registry.find(text)
    return task.module_path if task else _name(text)


def _states(text: str) -> list[str]:
    if text not in STATUSES:
        raise ValueError(f"It must be one of: {', '.join(STATUSES)}.")
    return [state.value for state in states_of(text)]


def _name(text: str) -> str:
    if not 0 < len(text) <= LONGEST_NAME or not text.isprintable():
        raise ValueError(f"It must be 1 to {LONGEST_NAME} printable characters.")
    return text


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or not 1900 <= moment.year <= 9000:
        raise ValueError("It must be a time such as 2026-01-31T12:00:00Z.")
    if timezone.is_naive(moment):
        return timezone.make_aware(moment) if _uses_zones() else moment
    # In UTC, for PostgreSQL knows no offsets of 16 hours and more.
    return moment.astimezone(UTC) if _uses_zones() else timezone.make_naive(moment)


def _uses_zones() -> bool:
    from django.conf import settings

    return bool(settings.USE_TZ)
