"""An index over the rows in some states, on databases with and without partial indexes."""

from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


class StateIndex(models.Index):
    """
    An index over rows in the given states only; where the database has no partial indexes (MySQL
    and MariaDB), one over all rows that begins with the state.
    """

    def __init__(self, *, states: tuple[str, ...] = (), **options: Any) -> None:
        self.states = tuple(states)
        if states:
            options["condition"] = models.Q(state__in=list(states))
        super().__init__(**options)

    def deconstruct(self) -> Any:
        path, expressions, options = super().deconstruct()
        options.pop("condition", None)
        return path, expressions, {**options, "states": self.states}

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            return super().create_sql(model, schema_editor, using, **kwargs)
        whole = models.Index(name=self.name, fields=["state", *self.fields])
        return whole.create_sql(model, schema_editor, using, **kwargs)

    def remove_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, **kwargs: Any
    ) -> Any:
        plain = models.Index(name=self.name, fields=self.fields)
        return plain.remove_sql(model, schema_editor, **kwargs)
