"""
Make the rows what ``@cron`` and ``@every`` declare: add them, update them, and disable those whose
declaration is gone.

A row stores what its declaration said when it was last updated. A column that differs from that was
changed by a person, and is kept; all others follow the declaration.
"""

from collections.abc import Collection, Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    IntegrityError,
    connections,
    models,
)

from taskworks import discovery
from taskworks.backends.shards import databases, with_table
from taskworks.database import shards
from taskworks.database.foreign_errors import foreign_errors_as_database_errors
from taskworks.database.tables import has_table
from taskworks.database.transactions import writing
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.logs import steady_logger
from taskworks.models.schedule import Schedule
from taskworks.models.schedule_validation import in_a_sentence
from taskworks.store import store_alias
from taskworks.timetables.callables import find, is_gone
from taskworks.timetables.declared import Declaration, declarations

logger = steady_logger(__name__)

# Columns that follow a declaration, in the order in which they are shown. userdata is not one of
# them, because the callable writes it.
DECLARED_COLUMNS = (
    "kind",
    "path",
    "args",
    "kwargs",
    "options",
    "cron",
    "interval",
    "timezone",
    "enabled",
    "start_running",
    "end_running",
    "wait_for_schedule",
    "iterations",
    "overlap",
    "catch_up",
    "jitter",
)
# Keys of the column ``declared``.
SAID, WITHDRAWN, WAS_ENABLED = "said", "withdrawn", "was_enabled"


def synchronize() -> None:
    """
    Make the rows what those declarations say whose runs are in this database, see ``store_alias``;
    several processes may do so at once. A declaration that is refused is logged; an error of the
    database is raised.
    """
    discovery.task_modules()
    for declaration in _declared_here():
        try:
            _synchronize(declaration)
        except ValidationError as error:
            logger.error("%s", refusal(declaration, error))
        except ValueError as error:  # no worker could find its task
            logger.error("The schedule %r cannot be declared: %s", declaration.label, error)
    for row in _rows_without_declaration():
        _withdraw(row)


def synchronize_if_possible() -> None:
    """Do the same for a worker that starts: an error of the database is logged."""
    try:
        with foreign_errors_as_database_errors(connections[store_alias()]):
            synchronize()
    except DatabaseError as error:
        logger.warning("The schedules that are declared in code could not be updated: %s", error)


def synchronize_after_migrate(using: str = DEFAULT_DB_ALIAS, **kwargs: Any) -> None:
    """A receiver of ``post_migrate``."""
    if using in databases() and has_table(Schedule, using):
        with shards.using(using):
            synchronize()


def draft(declaration: Declaration) -> Schedule:
    """Return the row of a declaration, not saved."""
    row = Schedule(label=declaration.label, **declaration.columns)
    row.describe(declaration.task)
    return row


def validate(row: Schedule) -> None:
    """Raise ValidationError, by field, if it could never run; convert its values to their types."""
    # Not Schedule.full_clean(), which reads the database's clock: a system check must not.
    super(Schedule, row).full_clean({"id"}, validate_unique=False, validate_constraints=False)


def refusal(declaration: Declaration, error: ValidationError) -> str:
    """Return why a declaration is refused, in a sentence."""
    path, reasons = declaration.task.module_path, in_a_sentence(error)
    return f"The schedule {declaration.label!r} of {path} cannot be declared: {reasons}"


def is_withdrawn(row: Schedule) -> bool:
    """Return whether the code that declared it does not do so any more."""
    return bool(row.declared and row.declared.get(WITHDRAWN))


def changes(row: Schedule) -> dict[str, Any]:
    """Return the columns of a declared row that a person has changed, as they are declared."""
    if not row.declared or is_withdrawn(row):
        return {}
    said = read(row.declared[SAID])
    if row.finished_at:
        said.pop("enabled", None)  # firing has disabled it, not a person
    return {name: value for name, value in said.items() if getattr(row, name) != value}


def lost(checked: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the labels of enabled schedules in these databases whose code is gone, and why."""
    for alias in with_table(Schedule, checked):
        for row in Schedule.objects.using(alias).filter(enabled=True):
            try:
                find(row.described)
            except (TaskNotFound, InvalidTask) as error:
                yield row.label, str(error)


# One declaration.


def _declared_here() -> list[Declaration]:
    every = [*declarations.values()]
    if not shards.named():
        return every
    return [one for one in every if _database_of(one) == store_alias()]


def _database_of(declaration: Declaration) -> str:
    try:
        return draft(declaration).database
    except ValueError:  # which is told when it is synchronized
        return store_alias()


def _synchronize(declaration: Declaration) -> None:
    row = _row(declaration.label)
    wanted = draft(declaration)
    validate(wanted)
    if row is None and wanted.is_over():
        return  # the database is new, or the row was deleted
    if row is None:
        row = _created(wanted)
    if row is None or row.declared is None:
        if _row(declaration.label):
            logger.warning(
                "The schedule %r is declared for %s, but another schedule, not declared in code, "
                "has this label: nothing is changed. Give the declaration another label.",
                declaration.label,
                wanted.path,
            )
    elif is_withdrawn(row) or _differ(read(row.declared[SAID]), values(wanted)):
        _update(declaration.label, values(wanted))


def _created(wanted: Schedule) -> Schedule | None:
    """Return the new row, or that of another process which was quicker."""
    wanted.declared = {SAID: written(wanted)}
    try:
        with writing(store_alias()):
            wanted.save()
    except (IntegrityError, ValidationError):
        other = _row(wanted.label)
        if other is None:
            raise
        return other
    return wanted


def _update(label: str, values: dict[str, Any]) -> None:
    with writing(store_alias()):
        row = _rows().select_for_update().filter(label=label).exclude(declared=None).first()
        if row is None:
            return
        said = read(row.declared[SAID])
        for name, value in values.items():
            if getattr(row, name) == said.get(name, value):
                setattr(row, name, value)
        if is_withdrawn(row):
            row.enabled = row.enabled or row.declared.get(WAS_ENABLED, True)
        row.declared = {SAID: written(Schedule(**values))}
        row.save()


# Declarations that are gone.


def _rows_without_declaration() -> Iterator[Schedule]:
    here = [declaration.label for declaration in _declared_here()]
    for row in _rows().exclude(declared=None).exclude(label__in=here):
        if not is_withdrawn(row) and _is_gone(row):
            yield row


def _is_gone(row: Schedule) -> bool:
    """Return whether its code is gone; False if its module could not be imported."""
    packages = [name.removesuffix("tasks") for name in discovery.failed]
    if any(row.path.startswith(package) for package in packages):
        return False
    try:
        find(row.described)
    except InvalidTask:
        return True
    except TaskNotFound:
        return is_gone(row.path)
    return row.label not in [declaration.label for declaration in _declared_here()]


def _withdraw(row: Schedule) -> None:
    with writing(store_alias()):
        locked = _rows().select_for_update().filter(pk=row.pk).exclude(declared=None).first()
        if locked is None or is_withdrawn(locked):
            return
        locked.declared = {**locked.declared, WITHDRAWN: True, WAS_ENABLED: locked.enabled}
        locked.enabled = False
        locked.save()
    logger.info("The schedule %r is not declared any more, and is disabled now.", row.label)


# Columns to JSON, and back.


def values(row: Schedule) -> dict[str, Any]:
    """Return the columns that follow a declaration."""
    return {name: getattr(row, name) for name in DECLARED_COLUMNS}


def written(row: Schedule) -> dict[str, str | None]:
    """Return these columns as JSON."""
    texts = {}
    for name in DECLARED_COLUMNS:
        is_none = getattr(row, name) is None
        texts[name] = None if is_none else _field(name).value_to_string(row)
    return texts


def read(said: dict[str, str | None]) -> dict[str, Any]:
    """Return the columns that ``written`` has made JSON of."""
    return {
        name: None if text is None else _field(name).to_python(text)
        for name, text in said.items()
        if name in DECLARED_COLUMNS
    }


def _differ(said: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return any(said.get(name, ...) != value for name, value in wanted.items())


def _field(name: str) -> "models.Field[Any, Any]":
    field: models.Field[Any, Any] = Schedule._meta.get_field(name)  # type: ignore[assignment]
    return field


# The rows of this database.


def _row(label: str) -> Schedule | None:
    row: Schedule | None = _rows().filter(label=label).first()
    return row


def _rows() -> Any:
    return Schedule.objects.using(store_alias())
