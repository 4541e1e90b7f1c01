"""
Operations for migrations that add, change and remove schedules.

They use the table as the migration knows it, whatever the model has become since; the migration
depends on ``("taskworks", "0001_initial")``. Each may be applied again, and is undone by migrating
backwards.
"""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from taskworks.database import shards
from taskworks.database.transactions import writing
from taskworks.logs import steady_logger
from taskworks.models.schedule import Schedule
from taskworks.models.schedule_validation import in_a_sentence
from taskworks.timetables import arguments
from taskworks.timetables.callables import describe

logger = steady_logger(__name__)

Values = dict[str, Any]
# Columns that say what a schedule runs, and when.
DEFINITION = ("kind", "path", "object_pk", "cron", "interval", *arguments.COLUMNS)
# Columns that follow from these.
PLAN = ("next_run", "behind_until", "due_at", "finished_at", "error")
# Columns that are written to a new row only.
OF_A_NEW_ROW = ("created_at", "last_run", "fired", "declared", "userdata")


class _ScheduleOperation(Operation):
    """Changes the row of one schedule, and no table."""

    category = OperationCategory.PYTHON
    reduces_to_sql = False
    reversible = True

    def __init__(self, label: str) -> None:
        if not isinstance(label, str) or not 0 < len(label) <= arguments.MAX_LABEL_LENGTH:
            raise ValueError(
                f"A label is text of 1 to {arguments.MAX_LABEL_LENGTH} characters, not {label!r}."
            )
        self.label = label

    def apply(self, rows: Any) -> bool:
        """
        Change the schedule, which is the only one of these rows, if it exists; return False if this
        database is not that of the schedule, or does not have it.
        """
        raise NotImplementedError

    def undo(self, rows: Any) -> bool:
        """Change it back, likewise."""
        raise NotImplementedError

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """The models stay as they are."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._do(self.apply, app_label, self._rows(schema_editor, to_state))

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._do(self.undo, app_label, self._rows(schema_editor, from_state))

    def _do(self, act: Callable[[Any], bool], app_label: str, rows: Any) -> None:
        if rows is None:
            return
        with writing(rows.db):
            is_done = act(rows)
        # Who migrates a shard knows of it; who migrates where all else is may not.
        others = sorted(shards.named() - {rows.db})
        if not is_done and others and rows.db == router.db_for_write(Schedule):
            commands = [f"manage.py migrate {app_label} --database {other}" for other in others]
            logger.warning(
                "%s: the database %r is unchanged. If the schedule's runs are in another one, "
                "apply the migration there too: %s",
                self.describe(),
                rows.db,
                ", ".join(commands),
            )

    def _rows(self, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState) -> Any:
        """Return the rows with this label, None if the table is in another database."""
        try:
            model = state.apps.get_model("taskworks", "Schedule")
        except LookupError:
            raise ValueError(
                f"{self.describe()}: the migration does not know the table of schedules. Add "
                "('taskworks', '0001_initial') to its dependencies."
            ) from None
        alias = schema_editor.connection.alias
        if not self.allow_migrate_model(alias, model):
            return None
        return model._base_manager.using(alias).filter(label=self.label)

    def _validated(self, values: Values, alias: str) -> Values:
        """Return all columns of a schedule with these values, validated and planned."""
        try:
            return Schedule(label=self.label, **values).columns(using=alias)
        except ValidationError as error:
            raise ValueError(f"{self.describe()}: {in_a_sentence(error)}") from error


class _DefinedSchedule(_ScheduleOperation):
    """Knows the whole schedule, and so can make it and remove it."""

    def __init__(
        self, label: str, the_callable: Any, schedule: Any, pk_override: Any, columns: Values
    ) -> None:
        super().__init__(label)
        self.the_callable, self.schedule, self.pk_override = the_callable, schedule, pk_override
        self.given = columns
        self.timing = {} if schedule is None else arguments.when(schedule)
        self.columns = arguments.columns(columns)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        # A migration is written with arguments that the signature names, so not with ``more``.
        if self.the_callable is None:
            return type(self).__name__, [self.label], {}
        more = {"pk_override": self.pk_override, "columns": self.given}
        given = {name: value for name, value in more.items() if value not in (None, {})}
        return type(self).__name__, [self.label, self.the_callable, self.schedule], given

    def add(self, rows: Any) -> bool:
        """
        Make the row, or make the row that exists what it is to be; return False if it belongs into
        another database.
        """
        known = {field.attname for field in rows.model._meta.concrete_fields}
        definition = self._definition()
        if _is_of_another_shard(definition, rows.db):
            return False
        columns = self._validated(definition, rows.db)
        columns = {name: value for name, value in columns.items() if name in known}
        row = rows.select_for_update().first()
        if row is None:
            rows.create(**columns)
        else:
            self._refuse_another(row, columns)
            rows.update(**{n: v for n, v in columns.items() if n not in OF_A_NEW_ROW})
        return True

    def remove(self, rows: Any) -> bool:
        """Delete the row and its firings; return whether there was one."""
        firings: Any = rows.model._meta.apps.get_model("taskworks", "Firing")._base_manager
        firings.using(rows.db).filter(schedule_id__in=[*rows.values_list("pk", flat=True)]).delete()
        return bool(rows.delete()[0])

    def _definition(self) -> Values:
        # The callable is looked for when it is needed: if its code is gone, later migrations go on.
        try:
            described = describe(self.the_callable, self.pk_override)
        except ValueError as error:
            raise ValueError(f"{self.describe()}: {error}") from error
        return {
            **self.timing,
            **self.columns,
            "kind": described.kind,
            "path": described.path,
            "object_pk": described.object_pk,
        }

    def _refuse_another(self, row: Any, columns: Values) -> None:
        """Refuse to overwrite a schedule of something else, which somebody may have made."""
        if any(getattr(row, name) != columns[name] for name in ("path", "object_pk")):
            raise ValueError(
                f"{self.describe()}: label: the schedule of this label runs {row.path!r}, not "
                f"{columns['path']!r}. Give one of them another label, or remove the old one."
            )


def _is_of_another_shard(columns: Values, alias: str) -> bool:
    return bool(shards.named()) and Schedule(**columns).database != alias


class AddSchedule(_DefinedSchedule):
    """
    Add a schedule with this label; if there is one, make it this one. A schedule with this label
    that runs something else is refused. Undone, it is removed.

    ``the_callable`` is a task or a callable, or better its dotted path, as code may be moved.
    ``pk_override`` is the primary key of the instance for the path of a model's method.
    ``schedule`` is a cron expression or an interval. ``more`` are other columns, which may be
    given as the dict ``columns`` as well.

    Raise ValueError or TypeError for bad arguments; when it is applied, ValueError, by field, for
    what could never run.
    """

    def __init__(
        self,
        label: str,
        the_callable: Any,
        schedule: Any,
        pk_override: Any = None,
        columns: Values | None = None,
        **more: Any,
    ) -> None:
        super().__init__(label, the_callable, schedule, pk_override, {**(columns or {}), **more})

    def describe(self) -> str:
        return f"Add the schedule {self.label!r}"

    apply, undo = _DefinedSchedule.add, _DefinedSchedule.remove


class RemoveSchedule(_DefinedSchedule):
    """
    Remove the schedule with this label, if there is one, and its firings; its runs stay.

    Undone, it is added as AddSchedule would, with the same arguments; without the callable and the
    schedule it cannot be undone.
    """

    reversible: bool  # type: ignore[misc] # each operation has its own

    def __init__(
        self,
        label: str,
        the_callable: Any = None,
        schedule: Any = None,
        pk_override: Any = None,
        columns: Values | None = None,
        **more: Any,
    ) -> None:
        if (the_callable is None) != (schedule is None):
            raise TypeError(
                f"To be undone, the removal of {label!r} needs both the callable and the schedule."
            )
        super().__init__(label, the_callable, schedule, pk_override, {**(columns or {}), **more})
        self.reversible = the_callable is not None

    def describe(self) -> str:
        return f"Remove the schedule {self.label!r}"

    apply, undo = _DefinedSchedule.remove, _DefinedSchedule.add


class ChangeSchedule(_ScheduleOperation):
    """
    Change columns of the schedule with this label, if there is one, from their values before to
    those after; undone, the other way round. A column that has another value than expected is left
    as it is: somebody has changed it.

        ChangeSchedule("nightly", before={"schedule": "0 3 * * *"}, after={"schedule": "0 4 * * *"})
    """

    def __init__(self, label: str, before: Values, after: Values) -> None:
        super().__init__(label)
        if not before or {*before} != {*after}:
            raise ValueError(
                f"The change of {label!r} needs the same columns before and after, one at least; "
                f"before has {sorted(before)}, after {sorted(after)}."
            )
        self.before, self.after = before, after
        self.columns_before, self.columns_after = _columns(before), _columns(after)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.label, self.before, self.after], {}

    def describe(self) -> str:
        return f"Change {', '.join(self.after)} of the schedule {self.label!r}"

    def apply(self, rows: Any) -> bool:
        return self._change(rows, self.columns_before, self.columns_after)

    def undo(self, rows: Any) -> bool:
        return self._change(rows, self.columns_after, self.columns_before)

    def _change(self, rows: Any, old: Values, new: Values) -> bool:
        row = rows.select_for_update().first()
        if row is None:
            return False
        wanted = {n: v for n, v in new.items() if getattr(row, n) == _as_read(row, n, old[n])}
        if wanted:
            definition = {name: getattr(row, name) for name in DEFINITION}
            columns = self._validated(definition | wanted, rows.db)
            rows.update(**{name: columns[name] for name in {*wanted, *PLAN, "enabled"}})
        return True


def _columns(given: Values) -> Values:
    """Return what is given as columns, a ``schedule`` among it."""
    others = {name: value for name, value in given.items() if name != "schedule"}
    timing = arguments.when(given["schedule"]) if "schedule" in given else {}
    return {**timing, **arguments.columns(others)}


def _as_read(row: Any, name: str, value: Any) -> Any:
    """Return the value as the column gives it back."""
    return row._meta.get_field(name).to_python(value) if value is not None else None
