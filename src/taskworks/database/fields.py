"""Columns that return exactly what was stored: names by their spelling, JSON unchanged."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import jsonvalue

NONE, ONE = "skip", "one"  # values of catch_up


def decoded(text: str) -> Any:
    """Return the value of a column's JSON text."""
    if text == "[]":
        return []
    return {} if text == "{}" else jsonvalue.decode(text)


class NameField(models.CharField):
    """A name that is compared exactly: MySQL and MariaDB would find "mail" equal to "Mail"."""

    _pyi_private_set_type: str
    _pyi_private_get_type: str

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        collation = "utf8mb4_bin" if connection.vendor == "mysql" else None
        return {**super().db_parameters(connection), "collation": collation}


class JSONTextField(models.TextField):
    """
    A JSON value, stored as text.

    Not a JSONField: databases that parse JSON return some of it changed (the order of keys, 1e16 as
    an integer), and a task must get the arguments it was enqueued with.
    """

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> str | None:
        if not value and (empty := jsonvalue.EMPTY.get(type(value))):
            return empty
        return None if value is None else jsonvalue.encode(value, self.attname)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else decoded(value)

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return jsonvalue.decode(value)
        except (ValueError, RecursionError):
            raise ValidationError(f"It must be a JSON value, not {value!r:.200}.") from None


class CatchUpField(models.PositiveIntegerField):
    """How many missed times a schedule catches up on at most: "skip", "one" or a number."""

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def to_python(self, value: Any) -> Any:
        match value:
            case "skip" | 0 | "0":
                return NONE
            case "one" | 1 | "1":
                return ONE
            case bool() | None:
                raise ValidationError(f'It must be "skip", "one" or a number, not {value!r}.')
        try:
            return super().to_python(value)
        except ValidationError:
            raise ValidationError(f'It must be "skip", "one" or a number, not {value!r}.') from None

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value({NONE: 0, ONE: 1}.get(value, value))

    def from_db_value(self, value: int, expression: Any, connection: Any) -> Any:
        return {0: NONE, 1: ONE}.get(value, value)

    def validate(self, value: Any, model_instance: Any) -> None:
        return

    def run_validators(self, value: Any) -> None:
        super().run_validators({NONE: 0, ONE: 1}.get(value, value))

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.value_from_object(obj))
