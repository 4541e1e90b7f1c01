"""Parameters whose JSON value is formatted text: dates, times, decimals, addresses."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, ClassVar, Unpack
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator, validate_email
from django.utils import timezone
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from taskworks.parameters.parameter import CommonOptions, ValidatedParameter
from taskworks.parameters.plain import RangedParameter, StringParameter, reject_boolean


def _reject_number(value: Any) -> Any:
    """Return the value; raise ValueError for a number or its text: pydantic takes timestamps."""
    if isinstance(value, int | float) or (isinstance(value, str) and _is_number(value)):
        raise ValueError("A number is not accepted as a date or time: use ISO 8601.")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _in_time_zone(value: datetime) -> datetime:
    """Make a naive datetime aware in the current time zone, as Django's forms do."""
    if settings.USE_TZ and timezone.is_naive(value):
        return timezone.make_aware(value)
    return value


class DateParameter(RangedParameter):
    """A date in ISO 8601."""

    type: ClassVar[Any] = date
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(_reject_number),)


class DateTimeParameter(RangedParameter):
    """A date and time in ISO 8601; without an offset, in the current time zone."""

    # The time zone is set before the bounds are compared.
    type: ClassVar[Any] = Annotated[
        datetime, BeforeValidator(_reject_number), AfterValidator(_in_time_zone)
    ]
    marks: ClassVar[tuple[Any, ...]] = (WithJsonSchema({"type": "string", "format": "date-time"}),)


class TimeParameter(RangedParameter):
    """A time of day in ISO 8601."""

    type: ClassVar[Any] = time
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(_reject_number),)


class DurationParameter(RangedParameter):
    """A timedelta: ISO 8601, "HH:MM:SS", or a number of seconds."""

    type: ClassVar[Any] = timedelta
    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(reject_boolean),)


class DecimalParameter(RangedParameter):
    """A finite decimal number, preferably written as text."""

    marks: ClassVar[tuple[Any, ...]] = (BeforeValidator(reject_boolean),)

    def __init__(
        self,
        required: bool | None = None,
        *,
        min_value: Any = None,
        max_value: Any = None,
        max_digits: int | None = None,
        decimal_places: int | None = None,
        **common: Unpack[CommonOptions],
    ) -> None:
        super().__init__(required, min_value=min_value, max_value=max_value, **common)
        self.max_digits, self.decimal_places = max_digits, decimal_places

    @cached_property
    def annotation(self) -> Any:
        bounds = {"minimum": self.min_value, "maximum": self.max_value}
        schema = {name: float(bound) for name, bound in bounds.items() if bound is not None}
        decimal = self.bounded(
            Annotated[Decimal, Field(allow_inf_nan=False)],
            ge=self.min_value,
            le=self.max_value,
            max_digits=self.max_digits,
            decimal_places=self.decimal_places,
        )
        return Annotated[decimal, WithJsonSchema({"type": "string", "format": "decimal", **schema})]


class UUIDParameter(ValidatedParameter):
    """A UUID."""

    type: ClassVar[Any] = UUID


def _django_validator(validate: Callable[[str], Any]) -> AfterValidator:
    def check(value: str) -> str:
        try:
            validate(value)
        except ValidationError as error:
            raise ValueError(" ".join(error.messages)) from None
        return value

    return AfterValidator(check)


class EmailParameter(StringParameter):
    """An email address, as Django's ``EmailField`` accepts it."""

    type: ClassVar[Any] = Annotated[str, Field(json_schema_extra={"format": "email"})]
    marks: ClassVar[tuple[Any, ...]] = (_django_validator(validate_email),)


class URLParameter(StringParameter):
    """A URL, as Django's ``URLField`` accepts it: http, https, ftp or ftps."""

    type: ClassVar[Any] = Annotated[str, Field(json_schema_extra={"format": "uri"})]
    marks: ClassVar[tuple[Any, ...]] = (_django_validator(URLValidator()),)
