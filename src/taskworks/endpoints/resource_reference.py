"""References to resources, which runs carry, and by which workers fetch the rows."""

from typing import Any

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist
from django.db import models, router

from taskworks.exceptions import InvalidEndpoint, ResourceNotFound

Reference = dict[str, Any]  # JSON: "model", "pk", and "using", the database alias


def reference_to(resource: Any) -> Reference:
    """Return a reference; raise InvalidEndpoint for anything but a saved model instance."""
    if not isinstance(resource, models.Model):
        raise InvalidEndpoint(
            "the resource must be a model instance, so that a worker can fetch it, not "
            f"a {type(resource).__name__}."
        )
    if resource.pk is None or resource._state.adding:
        raise InvalidEndpoint(
            f"the resource, an instance of {type(resource).__name__}, is not saved, so a worker "
            "could not fetch it. Save it first."
        )
    alias = router.db_for_write(type(resource), instance=resource)
    return {"model": resource._meta.label, "pk": _json_key(resource.pk), "using": alias}


def fetch(reference: Reference, task_name: str) -> models.Model:
    """Return the instance, read from the database; raise ResourceNotFound if it has no row."""
    try:
        return _row(reference).get()
    except ObjectDoesNotExist:
        raise _not_found(reference, task_name) from None


async def afetch(reference: Reference, task_name: str) -> models.Model:
    """See fetch()."""
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


def _json_key(pk: Any) -> Any:
    if isinstance(pk, tuple):  # a composite primary key
        return [_json_key(part) for part in pk]
    return pk if type(pk) in (int, str) else str(pk)
