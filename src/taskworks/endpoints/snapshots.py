"""``Snapshots``: save exactly the fields of resources that tasks have changed."""

from copy import deepcopy
from typing import Any

from django.core.files import File
from django.db import models

from taskworks.exceptions import InvalidEndpoint


class Snapshots:
    """Of every object that was the request's resource since the last save."""

    def __init__(self) -> None:
        self._by_id: dict[int, Snapshot] = {}  # by the instance's id()

    def take(self, instance: models.Model) -> None:
        """Record the instance's values, unless they are recorded already."""
        if id(instance) not in self._by_id:
            self._by_id[id(instance)] = Snapshot(instance)

    def save(self) -> None:
        """Save the changes of all instances; raise as ``Snapshot.save`` does."""
        for snapshot in self._by_id.values():
            snapshot.save()

    def keep(self, instance: Any) -> None:
        """Forget all instances but this one."""
        self._by_id = {
            key: snapshot for key, snapshot in self._by_id.items() if key == id(instance)
        }


class Snapshot:
    """A model instance, and the values of its fields when it became the resource."""

    def __init__(self, instance: models.Model) -> None:
        self._instance = instance
        self._is_new = instance._state.adding  # a task may save it with any values
        self._pk = instance.pk
        self._values = {} if self._is_new else _values(instance)

    def save(self) -> None:
        """
        Save the fields that have changed, and those that the model's own save() changes.

        Raise InvalidEndpoint if the primary key has changed, DatabaseError if the row is gone.
        """
        if self._instance.pk is None or self._instance._state.adding:  # deleted, or never saved
            return
        if self._instance.pk != self._pk and not self._is_new:
            model = type(self._instance).__name__
            raise InvalidEndpoint(
                f"the primary key of the resource, an instance of {model}, was changed from "
                f"{self._pk!r} to {self._instance.pk!r}, so its row cannot be updated."
            )
        for _ in range(2):  # again, because save() of the model may change other fields
            if not (changed := self._changed()):
                return
            saved = [*changed, *self._auto_now_fields(changed)]
            self._instance.save(update_fields=saved)
            now = _values(self._instance)
            self._values.update({name: now[name] for name in saved if name in now})

    def _changed(self) -> list[str]:
        now = _values(self._instance)
        return [name for name, value in now.items() if self._values.get(name, _UNKNOWN) != value]

    def _auto_now_fields(self, changed: list[str]) -> list[str]:
        # Django sets these only if they are among the saved fields.
        fields = self._instance._meta.concrete_fields
        return [f.name for f in fields if getattr(f, "auto_now", False) and f.name not in changed]


_UNKNOWN = object()


def _values(instance: models.Model) -> dict[str, Any]:
    """Return the values of the fields that can be saved and are not deferred."""
    return {
        field.name: _frozen(instance.__dict__[field.attname])
        for field in instance._meta.concrete_fields
        if field.attname in instance.__dict__
        and not field.primary_key
        and not getattr(field, "generated", False)
    }


def _frozen(value: Any) -> Any:
    """Return a copy of the value, which does not change with it."""
    match value:
        case str() | int() | float() | bytes() | None:
            return value
        case File():  # one that is not stored yet is a change, whatever its name
            return value.name if getattr(value, "_committed", False) else object()
        case memoryview():
            return bytes(value)
        case _:
            return deepcopy(value)
