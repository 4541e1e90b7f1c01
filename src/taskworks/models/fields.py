"""Columns that give back what they were given: a name as it is spelt, a JSON value unchanged."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks import jsonvalue

EMPTY: dict[type, str] = {list: "[]", dict: "{}"}  # most columns of most runs


def decoded(text: str) -> Any:
    """The value of a column's text."""
    if text == "[]":
        return []
    return {} if text == "{}" else jsonvalue.decode(text)


class NameField(models.CharField):
    """A name that equals itself alone: on MySQL and MariaDB "mail" would be "Mail" as well."""

    _pyi_private_set_type: str
    _pyi_private_get_type: str

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        collation = "utf8mb4_bin" if connection.vendor == "mysql" else None
        return {**super().db_parameters(connection), "collation": collation}


class JSONTextField(models.TextField):
    """
    A JSON value, kept as the text it was encoded to.

    Not a JSONField: databases that parse JSON give some of it back changed (the order of keys,
    1e16 as a whole number), and a task must get the arguments it was enqueued with.
    """

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def get_prep_value(self, value: Any) -> str | None:
        if not value and (empty := EMPTY.get(type(value))):
            return empty
        return None if value is None else jsonvalue.encode(value, self.attname)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else decoded(value)

    def value_to_string(self, obj: models.Model) -> str:
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def to_python(self, value: Any) -> Any:
        return jsonvalue.decode(value) if isinstance(value, str) else value
