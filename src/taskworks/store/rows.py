"""Runs as rows: how the columns of a run are read from this database, and written to it."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, TypeAlias, cast

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.fields import JSONTextField, decoded
from taskworks.jsonvalue import EMPTY
from taskworks.models import RunState, TaskRun
from taskworks.models.run import claim_order

OWN = ("id", "args", "kwargs")  # columns in which runs that are enqueued together differ
# What a claim itself has just written, and what is empty in a run that was ready.
CLAIM = ("state", "claimed_by", "claim_token")
FEW = (str, int)  # types of which a column of new runs has but a few values
BLANK = ("cancel_requested_at", "finished_at", "return_value", "target", "progress")

Field: TypeAlias = "models.Field[Any, Any]"
Convert = Callable[[Any], Any]


class Rows:
    """Past Django's own way of reading and writing models, which costs more than a short run."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._remembered = lru_cache(maxsize=1000)(self._prepared)

    # Read.

    def columns(self) -> str:
        """What a claim selects, or returns."""
        return ", ".join(map(self._expression, self._fields_to_read))

    def claimed(self, rows: Iterable[Sequence[Any]], **claim: Any) -> list[TaskRun]:
        """The runs of these rows of ``columns``, in the order of claims."""
        names = [field.attname for field in self._fields_to_read]
        readers = self._readers()
        known = {**dict.fromkeys(BLANK), "state": RunState.CLAIMED.value, **claim}
        runs = []
        for row in rows:
            columns = dict(zip(names, row, strict=True))
            for name, read in readers:
                if (value := columns[name]) is not None:
                    columns[name] = read(value)
            columns.update(known)
            runs.append(TaskRun.of_columns(self._alias, columns))
        return sorted(runs, key=claim_order)

    @cached_property
    def _fields_to_read(self) -> list[Field]:
        known = (*CLAIM, *BLANK)
        return [field for field in TaskRun._meta.concrete_fields if field.attname not in known]

    def _readers(self) -> list[tuple[str, Convert]]:
        """How columns are read that the driver does not give as Python has them."""
        readers = [(field.attname, self._reader(field)) for field in self._fields_to_read]
        return [(name, read) for name, read in readers if read]

    def _expression(self, field: Field) -> str:
        """What is selected of a column."""
        return self._connection.ops.quote_name(field.attname)

    def _reader(self, field: Field) -> Convert | None:
        """What makes a value of it; None if it is one already."""
        if isinstance(field, JSONTextField):
            return decoded
        connection, column = self._connection, field.get_col(TaskRun._meta.db_table)
        converters = connection.ops.get_db_converters(column) + field.get_db_converters(connection)
        if not converters:
            return None
        [convert] = converters
        return lambda value: convert(value, column, connection)

    # Write.

    def writer(self, column: str) -> Convert:
        """What makes a parameter of a column's value that is not None."""
        field = _field(column)
        if isinstance(field, JSONTextField):
            return field.get_prep_value
        connection = self._connection  # which takes a while to find
        return lambda value: field.get_db_prep_save(value, connection)

    def common(self, runs: Sequence[TaskRun]) -> dict[str, Any]:
        """
        What runs that are enqueued together have in common, prepared once for all of them; of the
        columns that are not NULL.
        """
        values = [(name, getattr(runs[0], name)) for name in self._shared]
        return {name: self._of_new(name, value) for name, value in values if value is not None}

    def own(self, runs: Sequence[TaskRun]) -> list[tuple[Any, ...]]:
        """What each of them has for itself, a row a run."""
        write, *writers = map(self.writer, OWN)
        return [(write(run.id), *(run.texts or _encoded(run, *writers))) for run in runs]

    def _of_new(self, name: str, value: Any) -> Any:
        if isinstance(value, FEW):
            return self._remembered(name, value)
        empty = EMPTY.get(type(value)) if not value else None
        return empty or self._prepared(name, value)

    def _prepared(self, name: str, value: Any) -> Any:
        return self.writer(name)(value)

    @cached_property
    def _shared(self) -> list[str]:
        return [f.attname for f in TaskRun._meta.concrete_fields if f.attname not in OWN]

    def type_of(self, column: str) -> str:
        """The type of a column, as the database calls it."""
        return self._types[column]

    @cached_property
    def _types(self) -> dict[str, str]:
        fields, connection = TaskRun._meta.concrete_fields, self._connection
        return {field.attname: field.db_type(connection) or "" for field in fields}

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        return connections[self._alias]


def _encoded(run: TaskRun, args: Convert, kwargs: Convert) -> tuple[Any, Any]:
    return args(run.args), kwargs(run.kwargs)


@cache
def rows_of(make: Callable[[str], Rows], alias: str) -> Rows:
    """One for all stores of a database, since much of what it says stays as it is."""
    return make(alias)


def _field(column: str) -> Field:
    return cast("Field", TaskRun._meta.get_field(column))
