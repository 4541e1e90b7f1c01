"""An index over some rows, on databases with and without partial indexes."""

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement

# A statement of MySQL and MariaDB that does nothing: Django executes whatever it is given.
NOTHING = Statement("DO 0")


class PartialIndex(models.Index):
    """
    An index over the rows that meet a condition; where the database has no partial indexes (MySQL
    and MariaDB), one over all rows, on the fields named by ``otherwise``, or none without these.
    """

    # Not Index's own ``condition``, about which Django would warn the users of those databases.

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
        return index.create_sql(model, schema_editor, using, **kwargs) if index else NOTHING

    def remove_sql(
        self, model: type[models.Model], schema_editor: BaseDatabaseSchemaEditor, **kwargs: Any
    ) -> Any:
        index = self._for(schema_editor)
        return index.remove_sql(model, schema_editor, **kwargs) if index else NOTHING

    def _for(self, schema_editor: BaseDatabaseSchemaEditor) -> models.Index | None:
        if schema_editor.connection.features.supports_partial_indexes:
            return models.Index(name=self.name, fields=self.fields, condition=self.where)
        return models.Index(name=self.name, fields=self.otherwise) if self.otherwise else None
