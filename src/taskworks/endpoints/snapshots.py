"""What an endpoint is about: noticing what has changed of it, and handing it over to a worker."""

from copy import deepcopy
from typing import Any

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.core.files import File
from django.db import models, router

from taskworks.exceptions import InvalidEndpoint, ResourceNotFound

Reference = dict[str, Any]


class Snapshots:
    """Of each that has been a request's resource since changes were saved last."""

    def __init__(self) -> None:
        self._taken: dict[int, Snapshot] = {}  # by the instance's id()

    def take(self, instance: models.Model) -> None:
        """Notice what changes of it from now on, if that is not so already."""
        if id(instance) not in self._taken:
            self._taken[id(instance)] = Snapshot(instance)

    def save(self) -> None:
        """Save what has changed of all of them, as ``Snapshot.save`` does."""
        for snapshot in self._taken.values():
            snapshot.save()

    def keep(self, instance: Any) -> None:
        """Forget the others."""
        self._taken = {key: one for key, one in self._taken.items() if key == id(instance)}


class Snapshot:
    """A model instance, and the values that its fields had when it became the resource."""

    def __init__(self, instance: models.Model) -> None:
        self._instance = instance
        self._is_new = instance._state.adding  # nobody knows then with which values it is saved
        self._pk = instance.pk
        self._values = {} if self._is_new else _values(instance)

    def save(self) -> None:
        """
        Save what has changed since, and nothing else; a save() of the model may change more.

        Raise InvalidEndpoint if the primary key has, and DatabaseError if the row is gone.
        """
        if self._instance.pk is None or self._instance._state.adding:  # deleted, or never saved
            return
        if self._instance.pk != self._pk and not self._is_new:
            kind = type(self._instance).__name__
            raise InvalidEndpoint(
                f"the primary key of the resource, an instance of {kind}, was changed from "
                f"{self._pk!r} to {self._instance.pk!r}: it cannot be saved as what it was."
            )
        for _ in range(2):
            if not (changed := self._changed()):
                return
            saved = [*changed, *self._kept_by_saving(changed)]
            self._instance.save(update_fields=saved)
            now = _values(self._instance)
            self._values.update({name: now[name] for name in saved if name in now})

    def _changed(self) -> list[str]:
        now = _values(self._instance)
        return [name for name, value in now.items() if self._values.get(name, _UNKNOWN) != value]

    def _kept_by_saving(self, changed: list[str]) -> list[str]:
        """The time of the last change, which Django sets of what it saves only."""
        fields = self._instance._meta.concrete_fields
        return [f.name for f in fields if getattr(f, "auto_now", False) and f.name not in changed]


_UNKNOWN = object()


def _values(instance: models.Model) -> dict[str, Any]:
    """What is known of the fields that can be saved; some may not have been read."""
    return {
        field.name: _kept(instance.__dict__[field.attname])
        for field in instance._meta.concrete_fields
        if field.attname in instance.__dict__
        and not field.primary_key
        and not getattr(field, "generated", False)
    }


def _kept(value: Any) -> Any:
    """The value as it is now, however it may be changed."""
    match value:
        case str() | int() | float() | bytes() | None:
            return value
        case File():  # one that is to be stored yet is a change, whatever its name
            return value.name if getattr(value, "_committed", False) else object()
        case memoryview():
            return bytes(value)
        case _:
            return deepcopy(value)


def reference_to(resource: Any) -> Reference:
    """
    How a run names a model instance; raise InvalidEndpoint if it is none, or has no row.
    """
    if not isinstance(resource, models.Model):
        raise InvalidEndpoint(
            f"the resource must be a model instance to be handed over to a worker, and "
            f"{type(resource).__name__} is no model."
        )
    if resource.pk is None or resource._state.adding:
        raise InvalidEndpoint(
            f"the resource, an instance of {type(resource).__name__}, is not saved, so that no "
            "worker could find it: save it first."
        )
    alias = router.db_for_write(type(resource), instance=resource)
    return {"model": resource._meta.label, "pk": _portable(resource.pk), "using": alias}


def fetched(reference: Reference, task_name: str) -> models.Model:
    """The instance as it is now; raise ResourceNotFound if there is none."""
    try:
        return _row(reference).get()
    except ObjectDoesNotExist:
        raise _not_found(reference, task_name) from None


async def afetched(reference: Reference, task_name: str) -> models.Model:
    """See fetched()."""
    try:
        return await _row(reference).aget()
    except ObjectDoesNotExist:
        raise _not_found(reference, task_name) from None


def _row(reference: Reference) -> "models.QuerySet[models.Model]":
    model: type[models.Model] = apps.get_model(reference["model"])
    pk = reference["pk"]
    rows = model._base_manager.using(reference["using"])
    return rows.filter(pk=tuple(pk) if isinstance(pk, list) else pk)


def _not_found(reference: Reference, task_name: str) -> ResourceNotFound:
    return ResourceNotFound(
        f"{task_name}: there is no {reference['model']} with the primary key "
        f"{reference['pk']!r} in the database {reference['using']!r}. Was it deleted?"
    )


def _portable(pk: Any) -> Any:
    if isinstance(pk, tuple):  # a composite one
        return [_portable(part) for part in pk]
    return pk if type(pk) in (int, str) else str(pk)
