"""
Schedules in migrations: added, changed and removed, forwards and backwards, as often as you like.

They work with the table as the migration knows it, whatever the model has become since. The
migration depends on ``("taskworks", "0001_initial")``.
"""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from taskworks.timetables import arguments
from taskworks.timetables.callables import describe

Values = dict[str, Any]
# What any row is planned by anew, as soon as a worker looks.
NOT_PLANNED = ("next_run", "behind_until", "due_at", "finished_at", "error")
WRITTEN = ("kind", "path", "object_pk", "cron", "interval", *arguments.COLUMNS)
MADE_ONCE = ("created_at", "last_run", "fired", "declared", "userdata")


class _OfSchedules(Operation):
    """An operation that changes rows, and no table."""

    category = OperationCategory.PYTHON
    reduces_to_sql = False
    label: str

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Models know nothing of it."""

    def _rows(self, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState) -> Any:
        """The rows with its label; None where this database has no such table."""
        try:
            model = state.apps.get_model("taskworks", "Schedule")
        except LookupError:
            raise ValueError(
                f"{self.describe()}: the migration knows no table of schedules. Add "
                "('taskworks', '0001_initial') to its dependencies."
            ) from None
        alias = schema_editor.connection.alias
        if not self.allow_migrate_model(alias, model):
            return None
        return model._base_manager.using(alias).filter(label=self.label)

    def _add(self, rows: Any, values: Values) -> None:
        """Make the row, or make it what it is to be."""
        columns = _columns(self.describe(), self.label, values, rows.db)
        known = {field.attname for field in rows.model._meta.concrete_fields}
        columns = {name: value for name, value in columns.items() if name in known}
        with transaction.atomic(using=rows.db):
            row = rows.select_for_update().first()
            if row is None:
                rows.create(**columns)
            else:
                self._refuse_another(row, columns)
                rows.update(**{n: v for n, v in columns.items() if n not in MADE_ONCE})

    def _refuse_another(self, row: Any, columns: Values) -> None:
        """What has its label may be somebody's own."""
        if any(getattr(row, name) != columns[name] for name in ("path", "object_pk")):
            raise ValueError(
                f"{self.describe()}: label: the schedule of this label runs {row.path!r}, not "
                f"{columns['path']!r}. Give one of them another label, or remove the old one."
            )


class AddSchedule(_OfSchedules):
    """
    Add a schedule with this label, or, if it is there already, make it this one; undone, it is
    removed. One with this label that runs something else is refused.

    ``the_callable`` is a task or a callable, or better its dotted path, as the code may move on;
    ``pk_override`` the primary key of the instance for the path of a model's method. ``schedule``
    is a cron expression or an interval; ``more`` are other columns, which may be given as a dict
    as well, ``columns``. Raise ValueError or TypeError for what cannot be, and when it is applied
    ValueError for all else, by field.
    """

    reversible = True

    def __init__(
        self,
        label: str,
        the_callable: Any,
        schedule: Any,
        pk_override: Any = None,
        columns: Values | None = None,
        **more: Any,
    ) -> None:
        self.label = _checked_label(label)
        self.callable, self.schedule, self.pk_override = the_callable, schedule, pk_override
        self.more = {**(columns or {}), **more}
        self.timing = arguments.when(schedule)
        self.columns = arguments.columns(self.more)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        # Whoever writes migrations takes arguments that have a name in the signature.
        more = {"pk_override": self.pk_override, "columns": self.more}
        given = {name: value for name, value in more.items() if value not in (None, {})}
        return type(self).__name__, [self.label, self.callable, self.schedule], given

    def describe(self) -> str:
        return f"Add the schedule {self.label!r}"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        rows = self._rows(schema_editor, to_state)
        if rows is not None:
            self._add(rows, self._values())

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        _remove(self._rows(schema_editor, from_state), from_state)

    def _values(self) -> Values:
        """Found when it is applied: code that is gone need not hinder later migrations."""
        try:
            described = describe(self.callable, self.pk_override)
        except ValueError as error:
            raise ValueError(f"{self.describe()}: {error}") from error
        return {
            **self.timing,
            **self.columns,
            "kind": described.kind,
            "path": described.path,
            "object_pk": described.object_pk,
        }


class RemoveSchedule(AddSchedule):
    """
    Remove the schedule with this label, if there is one, and the record of its firings; its runs
    stay. Undone, it is added as AddSchedule would; without the callable and the schedule it cannot
    be undone.
    """

    reversible: bool  # type: ignore[misc] # of each one

    def __init__(
        self,
        label: str,
        the_callable: Any = None,
        schedule: Any = None,
        pk_override: Any = None,
        columns: Values | None = None,
        **more: Any,
    ) -> None:
        self.reversible = the_callable is not None
        if (the_callable is None) != (schedule is None):
            raise TypeError(
                f"To be undone, the removal of {label!r} needs both the callable and the schedule."
            )
        given = "* * * * *" if schedule is None else schedule
        super().__init__(label, the_callable, given, pk_override, columns, **more)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        if self.reversible:
            return super().deconstruct()
        return type(self).__name__, [self.label], {}

    def describe(self) -> str:
        return f"Remove the schedule {self.label!r}"

    def database_forwards(self, *args: Any) -> None:
        super().database_backwards(*args)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        super().database_forwards(app_label, schema_editor, to_state, from_state)


class ChangeSchedule(_OfSchedules):
    """
    Change columns of the schedule with this label, if there is one, from what they were before to
    what they are after; undone, the other way round. A column that somebody has changed meanwhile
    is left as it is.

        ChangeSchedule("nightly", before={"schedule": "0 3 * * *"}, after={"schedule": "0 4 * * *"})
    """

    reversible = True

    def __init__(self, label: str, before: Values, after: Values) -> None:
        self.label = _checked_label(label)
        if not before or {*before} != {*after}:
            raise ValueError(
                f"The change of {label!r} needs the same columns before and after, one at least; "
                f"before has {sorted(before)}, after {sorted(after)}."
            )
        self.before, self.after = before, after
        self.columns_before, self.columns_after = _of_change(before), _of_change(after)

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [self.label, self.before, self.after], {}

    def describe(self) -> str:
        return f"Change {', '.join(self.after)} of the schedule {self.label!r}"

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._change(self._rows(schema_editor, to_state), self.columns_before, self.columns_after)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        self._change(self._rows(schema_editor, from_state), self.columns_after, self.columns_before)

    def _change(self, rows: Any, old: Values, new: Values) -> None:
        if rows is None:
            return
        with transaction.atomic(using=rows.db):
            row = rows.select_for_update().first()
            if row is None:
                return
            wanted = {n: v for n, v in new.items() if getattr(row, n) == _typed(row, n, old[n])}
            if wanted:
                self._write(rows, row, wanted)

    def _write(self, rows: Any, row: Any, wanted: Values) -> None:
        whole = {name: getattr(row, name) for name in WRITTEN} | wanted
        columns = _columns(self.describe(), self.label, whole, rows.db)
        written = {*wanted, *NOT_PLANNED, "enabled"}
        rows.update(**{name: columns[name] for name in written})


def _of_change(values: Values) -> Values:
    others = {name: value for name, value in values.items() if name != "schedule"}
    timing = arguments.when(values["schedule"]) if "schedule" in values else {}
    return {**timing, **arguments.columns(others)}


def _typed(row: Any, name: str, value: Any) -> Any:
    """As the column gives it back."""
    return row._meta.get_field(name).to_python(value) if value is not None else None


def _columns(what: str, label: str, values: Values, alias: str) -> Values:
    from taskworks.models.schedule import Schedule

    try:
        schedule = Schedule(label=label, **values)
        return schedule.columns(using=alias)
    except ValidationError as error:
        reasons = "; ".join(
            f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items()
        )
        raise ValueError(f"{what}: {reasons}") from error


def _remove(rows: Any, state: ProjectState) -> None:
    if rows is None:
        return
    firings: Any = state.apps.get_model("taskworks", "Firing")._base_manager.using(rows.db)
    with transaction.atomic(using=rows.db):
        firings.filter(schedule_id__in=[*rows.values_list("pk", flat=True)]).delete()
        rows.delete()


def _checked_label(label: Any) -> str:
    if not isinstance(label, str) or not 0 < len(label) <= arguments.LONGEST_LABEL:
        raise ValueError(
            f"A label is text of 1 to {arguments.LONGEST_LABEL} characters, not {label!r}."
        )
    return label
