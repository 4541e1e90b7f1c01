"""A migration operation that sets how PostgreSQL stores a table."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

# Every run leaves two dead rows behind: as it was enqueued, and as it was claimed. By default
# autovacuum removes them once they are a fifth of the table: with a million finished runs, after
# 100,000 more. A fillfactor would not help, because each change of the state changes an index.
OF_RUNS = {
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 5000,
    "autovacuum_analyze_scale_factor": 0.02,
    "autovacuum_analyze_threshold": 5000,
}


class SetStorage(Operation):
    """
    Set storage parameters of a model's table on PostgreSQL, and reset them to the server's defaults
    when reversed. Other databases ignore it.
    """

    reversible = True

    def __init__(self, model_name: str, parameters: dict[str, Any]) -> None:
        self.model_name, self.parameters = model_name, parameters

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Change nothing: storage parameters are not part of a model's state."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        values = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        self._alter(app_label, schema_editor, to_state, f"SET ({values})")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._alter(app_label, schema_editor, from_state, f"RESET ({', '.join(self.parameters)})")

    def describe(self) -> str:
        return f"Set how PostgreSQL stores {self.model_name}"

    def _alter(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        state: ProjectState,
        change: str,
    ) -> None:
        model = state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor == "postgresql" and self.allow_migrate_model(
            schema_editor.connection.alias, model
        ):
            table = schema_editor.quote_name(model._meta.db_table)
            schema_editor.execute(f"ALTER TABLE {table} {change}")
