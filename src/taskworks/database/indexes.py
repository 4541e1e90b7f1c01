"""An index of some rows, for databases with and without partial indexes."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement

# Django executes whatever it gets: a statement that does nothing on MySQL and MariaDB.
NO_OPERATION = Statement("DO 0")


class PartialIndex(models.Index):
    """
    An index of the rows that meet the condition ``where``. MySQL and MariaDB have no partial
    indexes: there it is an index of all rows on the fields ``otherwise``, or none without these.
    """

    # Not Index's own ``condition``: Django would warn users of those databases about it.

    def __init__(
        self, *, where: models.Q | None = None, otherwise: Sequence[str] = (), **options: Any
    ) -> None:
        self.where, self.otherwise = where, list(otherwise)
        super().__init__(**options)

    def deconstruct(self) -> Any:
        path, expressions, options = super().deconstruct()
        return path, expressions, {**options, "where": self.where, "otherwise": self.otherwise}

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **kwargs: Any,
    ) -> Any:
        index = self._for(schema_editor)
        return index.create_sql(model, schema_editor, using, **kwargs) if index else NO_OPERATION

    def remove_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, **kwargs: Any
    ) -> Any:
        index = self._for(schema_editor)
        return index.remove_sql(model, schema_editor, **kwargs) if index else NO_OPERATION

    def _for(self, schema_editor: BaseDatabaseSchemaEditor) -> models.Index | None:
        if schema_editor.connection.features.supports_partial_indexes:
            return models.Index(name=self.name, fields=self.fields, condition=self.where)
        return models.Index(name=self.name, fields=self.otherwise) if self.otherwise else None
