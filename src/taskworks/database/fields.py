"""Columns that return exactly what was stored: names by their spelling, JSON unchanged."""

from collections.abc import Callable, Iterable
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


class Unreadable:
    """What stands for the list or dict of a column that holds something else: an empty one."""

    text: str  # what the column holds


class UnreadableList(Unreadable, list[Any]):
    pass


class UnreadableDict(Unreadable, dict[str, Any]):
    pass


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

    With ``holds``, which says whether a value is what the column may hold, a value that somebody
    has written past us is read as ``Unreadable``, so that its row can be shown; without a list or
    dict as its default, it is read as the text that it is.
    """

    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def __init__(
        self, *args: Any, holds: Callable[[Any], bool] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._holds = holds
        self._empty = jsonvalue.EMPTY.get(self.default)

    def read_all(self, texts: Iterable[str | None]) -> list[Any]:
        """Return the value of each text, and None for none; raise what ``read`` raises."""
        empty, new, read = self._empty, self.default, self._reader_of_alike()
        return [text if text is None else new() if text == empty else read(text) for text in texts]

    def _reader_of_alike(self) -> Callable[[str], Any]:
        """Return ``read`` for many texts, which does not check one again that it has read."""
        checked: set[str] = set()

        def read(text: str) -> Any:
            if text in checked:
                return jsonvalue.decode(text)
            value = self.read(text)
            checked.add(text)
            return value

        return read

    def read(self, text: str) -> Any:
        """Return the value; raise an Exception if the column holds what we would not write."""
        if text == self._empty:  # as in most columns of most runs
            return self.default()
        value = jsonvalue.decode(text)
        if self._holds and not self._holds(value):
            raise ValueError(f"{self.attname} must not hold {text!r:.200}.")
        return value

    def unreadable(self, text: Any) -> Any:
        """Return what stands for a value that cannot be read."""
        stand_in: Any
        if self.default is list:
            stand_in = UnreadableList()
        elif self.default is dict:
            stand_in = UnreadableDict()
        else:
            return text
        stand_in.text = text
        return stand_in

    def get_prep_value(self, value: Any) -> str | None:
        if isinstance(value, Unreadable):
            return value.text
        if not value and (empty := jsonvalue.EMPTY.get(type(value))):
            return empty
        return None if value is None else jsonvalue.encode(value, self.attname)

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        if value is None:
            return None
        if self._holds is None:
            return decoded(value)
        try:
            return self.read(value)
        except Exception:  # noqa: BLE001 - whatever is there
            return self.unreadable(value)

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
