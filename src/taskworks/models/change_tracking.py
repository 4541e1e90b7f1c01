"""Which columns of a row have changed since it was read."""

from typing import Any, Self

from django.db import models

from taskworks.database.fields import JSONTextField


class ChangeTracking(models.Model):
    """A row that knows what it was when it was last read or saved."""

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        row = super().from_db(*args, **kwargs)
        row._note_as_it_is()
        return row

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        self._note_as_it_is()

    def _changed(self) -> set[str]:
        """Return the names of fields that are not as they were read; of a new row, all."""
        before = self.__dict__.get("_before")
        now = self._as_it_is()
        if before is None or self._state.adding:
            return {*now}
        return {name for name, value in now.items() if before.get(name, value) != value}

    def _as_it_is(self) -> dict[str, Any]:
        fields = self._meta.concrete_fields
        return {
            field.name: _comparable(field, self.__dict__[field.attname])
            for field in fields
            if field.attname in self.__dict__ and not field.primary_key
        }

    def _note_as_it_is(self) -> None:
        self._before = self._as_it_is()


def _comparable(field: "models.Field[Any, Any]", value: Any) -> Any:
    """Return a value that stays the same when a list or dict in the column is changed."""
    if isinstance(field, JSONTextField):
        try:
            return field.get_prep_value(value)
        except (TypeError, ValueError):
            return repr(value)
    return value
