"""How the columns of runs are read from one database, and written to it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, TypeAlias, TypeVar, cast

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.fields import JSONTextField, decoded
from taskworks.jsonvalue import EMPTY
from taskworks.models import RunState, TaskRun
from taskworks.models.run import claim_order

MAX_ROWS_PER_STATEMENT = 2000
MAX_BYTES_PER_STATEMENT = 4 * 1024 * 1024  # before quoting; MariaDB refuses 16 MiB

OWN = ("id", "args", "kwargs")  # columns in which runs that are enqueued together differ
# Columns that the claim itself writes, and columns that are NULL in every ready run.
CLAIM = ("state", "claimed_by", "claim_token")
REMEMBERED_TYPES = (str, int)  # of which a column of new runs has few different values
BLANK = ("cancel_requested_at", "finished_at", "return_value", "target", "progress")

Field: TypeAlias = "models.Field[Any, Any]"
Convert = Callable[[Any], Any]
T = TypeVar("T")


class Rows:
    """Reads and writes runs without Django's model machinery, which costs more than a short run."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._remembered = lru_cache(maxsize=1000)(self._prepared)

    # Read.

    def columns(self) -> str:
        """Return the columns that a claim selects or returns."""
        return ", ".join(map(self._expression, self._fields_to_read))

    def claimed(self, rows: Iterable[Sequence[Any]], **claim: Any) -> list[TaskRun]:
        """Return the runs of these rows of ``columns``, in the order of claims."""
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
        """Return the conversions of columns whose values the driver does not convert."""
        readers = [(field.attname, self._reader(field)) for field in self._fields_to_read]
        return [(name, read) for name, read in readers if read]

    def _expression(self, field: Field) -> str:
        """Return the SQL that selects a column."""
        return self._connection.ops.quote_name(field.attname)

    def _reader(self, field: Field) -> Convert | None:
        """Return the conversion of a column's value; None if it needs none."""
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
        """Return the conversion of a column's value, other than None, to a parameter."""
        field = _field(column)
        if isinstance(field, JSONTextField):
            return field.get_prep_value
        connection = self._connection  # looked up once, because that takes a while
        return lambda value: field.get_db_prep_save(value, connection)

    def common(self, runs: Sequence[TaskRun]) -> dict[str, Any]:
        """
        Return the values that runs enqueued together share, converted once for all of them.
        Columns that are NULL are left out.
        """
        values = [(name, getattr(runs[0], name)) for name in self._shared]
        return {name: self._of_new(name, value) for name, value in values if value is not None}

    def own(self, runs: Sequence[TaskRun]) -> list[tuple[Any, ...]]:
        """Return what each run has for itself, one row per run."""
        write, *writers = map(self.writer, OWN)
        return [(write(run.id), *(run.texts or _encoded(run, *writers))) for run in runs]

    def _of_new(self, name: str, value: Any) -> Any:
        if isinstance(value, REMEMBERED_TYPES):
            return self._remembered(name, value)
        empty = EMPTY.get(type(value)) if not value else None
        return empty or self._prepared(name, value)

    def _prepared(self, name: str, value: Any) -> Any:
        return self.writer(name)(value)

    @cached_property
    def _shared(self) -> list[str]:
        return [f.attname for f in TaskRun._meta.concrete_fields if f.attname not in OWN]

    def type_of(self, column: str) -> str:
        """Return the database's type of a column."""
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
    """Return the one for all stores of a database, which remembers what it has converted."""
    return make(alias)


def _field(column: str) -> Field:
    return cast("Field", TaskRun._meta.get_field(column))


# How many rows go into one statement.


def bytes_of(values: Iterable[Any]) -> int:
    """Return the bytes of those values that may be long: ASCII text."""
    return sum(len(value) for value in values if isinstance(value, str))


def pieces(rows: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield the rows in order, as many at a time as a statement takes; ``size`` counts bytes."""
    start = total = 0
    for index, row in enumerate(rows):
        bytes_ = size(row)
        if index - start == MAX_ROWS_PER_STATEMENT or (
            index > start and total + bytes_ > MAX_BYTES_PER_STATEMENT
        ):
            yield rows[start:index]
            start, total = index, 0
        total += bytes_
    yield rows[start:]
