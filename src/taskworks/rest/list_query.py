"""Which runs or workflows a list has: its filters, and a page that begins after an id."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, Self, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Model
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from taskworks.backends.shards import databases
from taskworks.database.answers import Fault, fault_of, said_of
from taskworks.filtering import RunFilter
from taskworks.logs import steady_logger
from taskworks.models import RunState
from taskworks.rest.serializers import STATUSES, StatusField, StrictSerializer, states_of
from taskworks.typed import registry

logger = steady_logger(__name__)

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 100  # runs
CONDITIONS = ("tasks", "states", "queues", "enqueued_since", "enqueued_until")
MAX_NAME_LENGTH = 512  # characters
Row = TypeVar("Row", bound=Model)
Row_co = TypeVar("Row_co", bound=Model, covariant=True)
MAX_SHOWN_LENGTH = 100  # characters of the name of an unknown parameter, in an error


class NameFilter(serializers.RegexField):
    """A name: printable characters, taken as they are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            r"^[^\x00-\x1f\x7f]+\Z",
            max_length=MAX_NAME_LENGTH,
            trim_whitespace=False,
            error_messages={"invalid": "It must be printable characters."},
            **kwargs,
        )


class TaskFilter(NameFilter):
    """The name of an offered task or the path of any task, read as a path."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        task = registry.find(name)
        return task.module_path if task else name


class StatusFilter(StatusField):
    """A status, read as the states that have it."""

    default_error_messages = {"invalid_choice": f"It must be one of: {', '.join(STATUSES)}."}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> tuple[RunState, ...]:  # type: ignore[override]
        return tuple(states_of(super().to_internal_value(data)))


class TimeFilter(serializers.DateTimeField):
    """A time in ISO 8601, from 1900 to 9000; without an offset it is in the current time zone."""

    default_error_messages = {"invalid": "It must be a time such as 2026-01-31T12:00:00Z."}  # noqa: RUF012

    def to_internal_value(self, value: Any) -> datetime:
        try:
            moment = parse_datetime(value)
        except ValueError:
            moment = None
        if moment is None or not 1900 <= moment.year <= 9000:
            self.fail("invalid")
        if timezone.is_naive(moment):
            return timezone.make_aware(moment) if settings.USE_TZ else moment
        # In UTC, because PostgreSQL does not know offsets of 16 hours and more.
        return moment.astimezone(UTC) if settings.USE_TZ else timezone.make_naive(moment)


class FlagFilter(serializers.BooleanField):
    """True or false, in JSON's words alone."""

    default_error_messages = {"invalid": "It must be true or false."}  # noqa: RUF012

    def to_internal_value(self, data: Any) -> bool:
        if data not in ("true", "false"):
            self.fail("invalid")
        return bool(data == "true")


class DigitsFilter(serializers.IntegerField):
    """An integer in ASCII digits, without a sign."""

    def to_internal_value(self, data: Any) -> int:
        if not (data.isascii() and data.isdigit()):
            self.fail("invalid")
        return int(super().to_internal_value(data))


class ListQuery(StrictSerializer):
    """
    The query of a list. Its validated data are ``mine``, ``page_size`` and ``cursor``, and the
    others as conditions. Other parameters, and one that is given twice, are errors: to ignore a
    filter would be to answer with other rows.
    """

    mine = FlagFilter(required=False, help_text="Only the user's own; for staff.")
    page_size = DigitsFilter(
        min_value=1,
        max_value=MAX_PAGE_SIZE,
        default=DEFAULT_PAGE_SIZE,
        help_text="How many a page has at most.",
    )
    cursor = serializers.UUIDField(
        required=False,
        error_messages={"invalid": "Not a cursor: follow the link in next."},
        help_text="Those after this one in the list; the link in next has it.",
    )

    @classmethod
    def of(cls, query: QueryDict) -> Self:
        """Return the filters in the query of a request."""
        # As a dict: in a QueryDict a flag that is not given is false.
        return cls(data=query.dict(), context={"query": query})

    def why_unknown(self, name: str) -> str:
        known = ", ".join(sorted(self.fields))
        return f"There is no parameter {name[:MAX_SHOWN_LENGTH]!r}. Choose from: {known}."

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        if twice := [name for name in data if len(self.context["query"].getlist(name)) > 1]:
            text = "It is given more than once."
            raise serializers.ValidationError({name: [text] for name in twice})
        return values


class RunListQuery(ListQuery):
    """The query of a list of runs, whose conditions are those of a ``RunFilter``."""

    task = TaskFilter(source="tasks", required=False, help_text="Runs of this task.")
    status = StatusFilter(source="states", required=False, help_text="Runs with this status.")
    queue = NameFilter(source="queues", required=False, help_text="Runs of this queue.")
    created_after = TimeFilter(
        source="enqueued_since", required=False, help_text="Enqueued then or later."
    )
    created_before = TimeFilter(
        source="enqueued_until", required=False, help_text="Enqueued before then."
    )

    @property
    def meant(self) -> RunFilter:
        """The filter, once it is valid."""
        given = self.validated_data
        conditions = {name: given[name] for name in CONDITIONS if name in given}
        several = {"tasks", "queues"} & {*conditions}
        return RunFilter(**conditions | {name: (conditions[name],) for name in several})


class Newest(Protocol[Row_co]):
    """Reads the newest rows of a database, up to ``limit``, whose ids are less than ``after``."""

    def __call__(
        self, alias: str, *, after: UUID | None, limit: int
    ) -> tuple[Sequence[Row_co], UUID | None]:
        """Return them, and the id up to which was looked, None if there are no others."""
        ...


class ListPage(Generic[Row]):
    """
    A page of the newest rows of all databases. Those that do not answer in time are in ``missing``
    as unavailable, and those that have answered with an error as failed.
    """

    def __init__(self, newest: Newest[Row], page_size: int, cursor: UUID | None = None) -> None:
        self.missing: dict[str, list[str]] = {}
        found, horizon = self._newest(newest, page_size + 1, cursor)
        self.rows = found[:page_size]
        # Of the next page; None on the last one.
        self.cursor: UUID | None = self.rows[-1].pk if len(found) > page_size else horizon

    def next_address(self, request: Request) -> str | None:
        """Return the address of the next page; None on the last one."""
        address = request.build_absolute_uri()
        return replace_query_param(address, "cursor", str(self.cursor)) if self.cursor else None

    def _newest(
        self, newest: Newest[Row], limit: int, cursor: UUID | None
    ) -> tuple[list[Row], UUID | None]:
        """Return the newest rows, as far as all databases have looked, and how far that is."""
        found: list[Row] = []
        ends: list[UUID] = []
        for rows, end in self._of_each(newest, limit, cursor):
            found += rows
            ends += [end] if end is not None else []
        found.sort(key=lambda row: row.pk, reverse=True)
        horizon = max(ends, default=None)
        return [row for row in found if horizon is None or row.pk >= horizon], horizon

    def _of_each(
        self, newest: Newest[Row], limit: int, cursor: UUID | None
    ) -> Iterator[tuple[Sequence[Row], UUID | None]]:
        known, errors = databases(), list[DatabaseError]()
        for alias in known:
            try:
                yield newest(alias, after=cursor, limit=limit)
            except DatabaseError as error:
                errors.append(error)
                self._note(alias, error)
        if len(errors) == len(known):
            raise errors[0]

    def _note(self, alias: str, error: DatabaseError) -> None:
        has_failed = fault_of(error) is Fault.FAILED  # such as one without tables
        self.missing.setdefault("failed" if has_failed else "unavailable", []).append(alias)
        logger.warning("%s", said_of(alias, error), exc_info=error if has_failed else None)
