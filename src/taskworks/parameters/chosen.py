"""Parameters that accept one of several values: of a list, an Enum, or a model's rows."""

from collections.abc import Callable, Iterable
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal, Unpack

from django.apps import apps
from django.db import models
from pydantic import BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from taskworks import jsonvalue
from taskworks.exceptions import InvalidTask
from taskworks.parameters.parameter import CommonOptions, ParameterNotValidError, ValidatedParameter
from taskworks.parameters.plain import IntParameter, StringParameter, reject_boolean
from taskworks.parameters.text import UUIDParameter

JSON_TYPES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


class ChoiceParameter(ValidatedParameter):
    """One of ``choices``: strings, numbers, or pairs of value and label."""

    def __init__(
        self, choices: Iterable[Any], required: bool | None = None, **common: Unpack[CommonOptions]
    ) -> None:
        super().__init__(required, **common)
        items = [*getattr(choices, "choices", choices)]
        pairs = [item if isinstance(item, tuple) else (item, None) for item in items]
        self.choices: dict[Any, Any] = dict(pairs)
        if not self.choices:
            raise InvalidTask("A ChoiceParameter needs at least one choice.")

    @cached_property
    def annotation(self) -> Any:
        labels = {str(value): str(label) for value, label in self.choices.items() if label}
        return Annotated[
            Literal[*self.choices],
            BeforeValidator(self._reject_other_boolean),
            WithJsonSchema(
                {**_one_of([*self.choices]), **({"x-labels": labels} if labels else {})}
            ),
        ]

    def _reject_other_boolean(self, value: Any) -> Any:
        # In Python True == 1, so without this True would be accepted where 1 is a choice.
        return value if any(value is choice for choice in self.choices) else reject_boolean(value)


class EnumParameter(ValidatedParameter):
    """A member of an Enum. Its JSON value is the member's value: a string or a number."""

    def __init__(
        self, enum: type[Enum], required: bool | None = None, **common: Unpack[CommonOptions]
    ) -> None:
        super().__init__(required, **common)
        self.enum = enum

    @cached_property
    def annotation(self) -> Any:
        values = [member.value for member in self.enum]
        labels = {
            str(member.value): str(member.label) for member in self.enum if hasattr(member, "label")
        }
        return Annotated[
            Any,
            PlainValidator(self._member),
            PlainSerializer(lambda member: member.value),
            WithJsonSchema({**_one_of(values), **({"x-labels": labels} if labels else {})}),
        ]

    def _member(self, value: Any) -> Any:
        return self.enum(reject_boolean(value))


def _one_of(values: list[Any]) -> dict[str, Any]:
    types = {JSON_TYPES[type(value)] for value in values if type(value) in JSON_TYPES}
    return {**({"type": types.pop()} if len(types) == 1 else {}), "enum": values}


Rows = type[models.Model] | models.Manager[Any] | models.QuerySet[Any] | str
Queryset = Rows | Callable[[], Any]


class ModelParameter(ValidatedParameter):
    """
    A row, given by its primary key, of a model, a queryset, or a callable that returns a queryset.

    The row is fetched when a run is enqueued, and again when it is executed.
    """

    reads_database = True

    def __init__(
        self, queryset: Queryset, required: bool | None = None, **common: Unpack[CommonOptions]
    ) -> None:
        super().__init__(required, **common)
        self._given = queryset

    @property
    def queryset(self) -> "models.QuerySet[Any]":
        """The rows to choose from; not evaluated yet."""
        rows: Any = apps.get_model(self._given) if isinstance(self._given, str) else self._given
        if isinstance(rows, type) and issubclass(rows, models.Model):
            rows = rows._default_manager
        elif callable(rows):
            rows = rows()
        found: models.QuerySet[Any] = rows.all()
        return found

    @cached_property
    def annotation(self) -> Any:
        return Annotated[
            Any,
            PlainValidator(self._row),
            PlainSerializer(lambda row: self._key.encoded(row.pk)),
            WithJsonSchema(self._key.adapter.json_schema()),
        ]

    @cached_property
    def _key(self) -> ValidatedParameter:
        """The parameter for the model's primary key."""
        model = self.queryset.model
        field = model._meta.pk
        if len(getattr(model._meta, "pk_fields", [field])) > 1:
            raise InvalidTask(
                f"{model._meta.label} cannot be a parameter: its primary key is composite."
            )
        while field.remote_field:
            field = field.target_field
        if isinstance(field, models.IntegerField):
            return IntParameter(min_value=-(2**63), max_value=2**63 - 1)
        return UUIDParameter() if isinstance(field, models.UUIDField) else StringParameter()

    def _row(self, given: Any) -> Any:
        rows = self.queryset
        key = self._key.to_python(given.pk if isinstance(given, rows.model) else given)
        jsonvalue.round_trip(self._key.to_json(key), "key")
        for row in rows.filter(pk=key)[:1]:
            return row
        raise ParameterNotValidError(f"There is no {rows.model._meta.verbose_name} {key!s:.100}.")
