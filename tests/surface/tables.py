"""The tables, as the models describe them."""

from typing import Any

from django.apps import apps
from django.db import models


def observed() -> dict[str, Any]:
    """Return columns, indexes and constraints of each model."""
    found = apps.get_app_config("taskworks").get_models()
    return {model._meta.label: _table(model) for model in sorted(found, key=lambda m: m.__name__)}


def _table(model: type[models.Model]) -> dict[str, Any]:
    meta = model._meta
    return {
        "table": meta.db_table,
        "columns": {field.column: _column(field) for field in meta.concrete_fields},
        "related": sorted(relation.name for relation in meta.related_objects),
        "indexes": {index.name: _index(index) for index in meta.indexes},
        "constraints": {one.name: _constraint(one) for one in meta.constraints},
        "permissions": sorted(
            f"{meta.app_label}.{action}_{meta.model_name}" for action in meta.default_permissions
        ),
    }


def _column(field: Any) -> dict[str, Any]:
    described = {
        "field": type(field).__name__,
        "stored as": field.get_internal_type(),
        "attribute": field.attname,
        "null": field.null,
        "primary key": field.primary_key,
        "unique": field.unique and not field.primary_key,
        "index": field.db_index,
        "length": field.max_length,
        "to": field.related_model and field.related_model._meta.label,
        "choices": [value for value, _ in field.choices or ()],
    }
    shown = {name: value for name, value in described.items() if value or name == "null"}
    if shown["stored as"] == shown["field"]:
        del shown["stored as"]
    if shown["attribute"] == field.column:
        del shown["attribute"]
    return shown


def _index(index: Any) -> dict[str, Any]:
    names = ("fields", "otherwise", "where", "condition")
    given = {name: getattr(index, name, None) for name in names}
    return {name: _plain(value) for name, value in given.items() if value}


def _constraint(constraint: Any) -> list[Any]:
    columns = list(getattr(constraint, "fields", ()))
    return [type(constraint).__name__, columns or str(constraint.condition)]


def _plain(value: Any) -> Any:
    return value if isinstance(value, list) else str(value)
