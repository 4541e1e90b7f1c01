"""How runs become the rows of a statement, and rows become runs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property, lru_cache, partial
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar, cast
from uuid import UUID, uuid4

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.chunks import in_chunks
from taskworks.database.fields import JSONTextField
from taskworks.jsonvalue import EMPTY
from taskworks.models import RunState, TaskRun
from taskworks.models.run import IN_HAND, in_claim_order
from taskworks.store.new_runs import NewRuns, Template

MAX_ROWS_PER_STATEMENT = 2000
MAX_BYTES_PER_STATEMENT = 4 * 1024 * 1024  # before quoting; MariaDB refuses 16 MiB

OWN_COLUMNS = ("id", "args", "kwargs")  # in which runs that are enqueued together differ
TEMPLATE_COLUMNS = (
    "backend",
    "queue_name",
    "task_path",
    "callable_path",
    "owner",
    "limit_name",
    "rank",
    "executor",
    "at_most_once",
    "options",
    "metadata",
)
TIMES_WHEN_STORED = ("run_after", "enqueued_at", "available_at", "expires_at")
MAX_TEMPLATES = 1000  # whose parameters are kept

LIMITED_BY = ("limit_name", "lane")  # NULL where there is no limit
SET_BY_CLAIM = ("state", "claimed_by", "claim_token")
NULL_WHILE_READY = ("cancel_requested_at", "finished_at", "return_value", "target", "progress")
CLEARED_AFTER_CLAIM = ("claimed_by", "claim_token", "target", "progress")
KEY_COLUMNS = ("id", "claim_token")
COUNTS = ("attempts", "failures", "crashes")

# Columns in which 1 and True compare equal, but must be stored as they are.
COMPARED_AS_JSON = ("return_value", "metadata")
# States that are written even if the run's cancellation was requested.
STANDING_STATES = (RunState.SUCCESSFUL, RunState.CANCELLED)

Field: TypeAlias = "models.Field[Any, Any]"
Convert = Callable[[Any], Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    New values of claimed runs, each to be written only while its claim holds: ``shared`` by all
    runs, or a run's own, in its row.

    In SQL the runs are called ``run``, and the rows of own values ``new``.
    """

    ids: dict[Any, UUID]  # of the runs, by what a row has for one
    shared: dict[str, Any]
    own: list[str]  # the columns of rows
    rows: list[tuple[Any, ...]]
    ends_claim: bool
    cancel_wins: bool  # once cancellation is requested, only a standing state is written

    def assignments(self, table: str = "") -> str:
        """Return what follows SET; ``table`` is put before each column's name."""
        return ", ".join(
            [f"{table}{name} = %s" for name in self.shared if name not in KEY_COLUMNS]
            + [f"{table}{name} = new.{name}" for name in self.own if name not in KEY_COLUMNS]
            + ([f"{table}{name} = NULL" for name in CLEARED_AFTER_CLAIM] if self.ends_claim else [])
        )

    @property
    def assigned(self) -> list[Any]:
        """The parameters of ``assignments``."""
        return [value for name, value in self.shared.items() if name not in KEY_COLUMNS]

    def condition(self, state: str = "run.state") -> str:
        """Return the condition, besides the id, of rows that are still ours; ``state`` is SQL."""
        token = "%s" if "claim_token" in self.shared else "new.claim_token"
        return f"run.claim_token = {token} AND {state} IN ({_sql(IN_HAND)}){self._unless_cancelled}"

    @property
    def token(self) -> list[Any]:
        """The parameters of ``condition``."""
        return [self.shared["claim_token"]] if "claim_token" in self.shared else []

    @property
    def _unless_cancelled(self) -> str:
        if not self.cancel_wins or self.shared.get("state") in STANDING_STATES:
            return ""
        not_requested = "run.cancel_requested_at IS NULL"
        if "state" in self.shared:
            return f" AND {not_requested}"
        return f" AND ({not_requested} OR new.state IN ({_sql(STANDING_STATES)}))"


class Rows:
    """Reads and writes runs without Django's model machinery, which costs more than a short run."""

    insert_as = ""  # what names the table in an INSERT as ``_expression`` does

    def __init__(self, alias: str) -> None:
        self._alias = alias
        # The parameters of a template, converted once.
        self.of_template = lru_cache(maxsize=MAX_TEMPLATES)(self._parameters)
        self._text_of_insertion = lru_cache(maxsize=MAX_TEMPLATES)(self._make_insertion)

    # Read.

    def columns(self) -> str:
        """Return the columns that a claim selects or returns."""
        return ", ".join(map(self._expression, self._fields_to_read))

    def columns_of_limited(self) -> str:
        """Return the columns that a claim of limited runs selects or returns."""
        return f"{self.columns()}, {self._expression(_field('lane'))}"

    def claimed(self, rows: Iterable[Sequence[Any]], **claim: Any) -> list[TaskRun]:
        """Return the runs of these rows of ``columns``, in the order of claims."""
        none = dict.fromkeys(LIMITED_BY)
        return in_claim_order(self._claimed([*rows], **none, **claim))

    def claimed_limited(self, rows: Iterable[Sequence[Any]], **claim: Any) -> list[TaskRun]:
        """Return the same of rows of ``columns_of_limited``; ``claim`` has the limit's name."""
        rows = list(rows)
        runs = self._claimed([row[:-1] for row in rows], **claim)
        for run, row in zip(runs, rows, strict=True):
            run.lane = row[-1]
        return in_claim_order(runs)

    def _claimed(self, rows: Sequence[Sequence[Any]], **claim: Any) -> list[TaskRun]:
        known = {**dict.fromkeys(NULL_WHILE_READY), "state": RunState.CLAIMED.value, **claim}
        return TaskRun.of_columns(self._alias, [{**row, **known} for row in self._read_all(rows)])

    def _read_all(self, rows: Sequence[Sequence[Any]]) -> Iterable[dict[str, Any]]:
        """Return what the rows say, by the names of columns."""
        try:
            return self._rows_read(rows) if rows else []
        except Exception:  # noqa: BLE001 - somebody has written nonsense into one of them
            if len(rows) == 1:
                return [self._what_is_readable(rows[0])]
        return [columns for row in rows for columns in self._read_all([row])]

    def _rows_read(self, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        # Column by column, which takes a tenth of the calls.
        fields = self._fields_to_read
        names = [field.attname for field in fields]
        columns = [
            self._column_read(field, values)
            for field, values in zip(fields, zip(*rows, strict=True), strict=True)
        ]
        _demand_what_every_run_has(dict(zip(names, columns, strict=True)))
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _column_read(self, field: Field, values: Sequence[Any]) -> Sequence[Any]:
        if isinstance(field, JSONTextField):
            return field.read_all(values)
        read = self._reader(field)
        return _each_once(values, read) if read else values

    def _what_is_readable(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return the columns of a row, with stand-ins for those that cannot be read."""
        columns, unreadable = dict[str, Any](), []
        for field, value in zip(self._fields_to_read, row, strict=True):
            name = field.attname
            try:
                [columns[name]] = self._column_read(field, [value])
                if name in COUNTS and type(columns[name]) is not int:
                    raise TypeError(f"{name} must be an integer.")
            except Exception:  # noqa: BLE001 - as above
                columns[name] = _stand_in(field, value)
                unreadable.append(name)
        for name in ("enqueued_at", "available_at"):  # which are never None
            columns[name] = columns[name] or columns["claimed_at"]
        return {**columns, "unreadable": tuple(unreadable)}

    @cached_property
    def _fields_to_read(self) -> list[Field]:
        # Whoever asks a claimed run for its workflow has Django read it.
        known = (*SET_BY_CLAIM, *NULL_WHILE_READY, *LIMITED_BY, "workflow")
        return [field for field in TaskRun._meta.concrete_fields if field.attname not in known]

    def _expression(self, field: Field) -> str:
        """Return the SQL that selects a column."""
        return self._connection.ops.quote_name(field.attname)

    def _reader(self, field: Field) -> Convert | None:
        """Return the conversion of a column's value; None if it needs none."""
        if isinstance(field, JSONTextField):
            return field.read
        connection, column = self._connection, field.get_col(TaskRun._meta.db_table)
        converters = connection.ops.get_db_converters(column) + field.get_db_converters(connection)
        if not converters:
            return None
        [convert] = converters
        return lambda value: convert(value, column, connection)

    # Insert.

    def shared(self, new: NewRuns) -> dict[str, Any]:
        """Return the values that new runs share, as parameters, without columns that are NULL."""
        times = {name: getattr(new, name) for name in TIMES_WHEN_STORED}
        of_template = self.of_template(new.template)
        if new.carried is not None:
            of_template = {**of_template}
            del of_template["metadata"]
        return {
            **of_template,
            **self._initial,
            **{name: self.writer(name)(at) for name, at in times.items() if at is not None},
            "state": new.state,
        }

    def own(self, new: NewRuns) -> list[tuple[str, ...]]:
        """Return the values of ``own_columns``, one row per run."""
        rows: list[tuple[str, ...]] = [
            (as_hex(run_id), args, kwargs)
            for run_id, (args, kwargs) in zip(new.ids, new.texts, strict=True)
        ]
        metadata = None if new.carried is None else self._own_metadata(new)
        for values in filter(None, (new.lanes, metadata)):
            rows = [(*row, value) for row, value in zip(rows, values, strict=True)]
        return rows

    def _own_metadata(self, new: NewRuns) -> list[str]:
        write = self.writer("metadata")
        return [write(new.metadata(index)) for index in range(len(new))]

    def insertion_of_one(
        self, new: NewRuns, clock: str, returning: str = ""
    ) -> tuple[str, list[Any]]:
        """
        Return the statement that inserts a run that is due by the ``clock``, and returns a column
        of it, with its parameters, to which those of the clock are added twice. Its text is the
        same for almost all runs, so that a database may keep it prepared.
        """
        shared = self.of_template(new.template)
        if new.lanes is not None:
            shared = {**shared, "lane": new.lanes[0]}
        if new.carried is not None:
            [metadata] = self._own_metadata(new)
            shared = {**shared, "metadata": metadata}
        returned = self._expression(_field(returning)) if returning else ""
        text = self._text_of_insertion(tuple(shared), clock, returned)
        return text, [as_hex(new.ids[0]), *new.texts[0], *shared.values()]

    def _make_insertion(self, shared: tuple[str, ...], clock: str, returned: str) -> str:
        given, times = (*OWN_COLUMNS, *shared), ("enqueued_at", "available_at")
        columns = [*given, *self._initial, "state", *times]
        values = ["%s"] * len(given) + [*map(_literal, self._initial.values())]
        values += ["'ready'", *[clock] * len(times)]
        quote = self._connection.ops.quote_name
        return f"""
            INSERT INTO {quote(TaskRun._meta.db_table)} {self.insert_as}
            ({", ".join(map(quote, columns))})
            VALUES ({", ".join(values)}) {"RETURNING" if returned else ""} {returned}"""  # noqa: S608 - names, and our own values

    def read(self, column: str, value: Any) -> Any:
        """Return the value of a column that a statement of this class has returned."""
        read = self._reader(_field(column))
        return read(value) if read else value

    def _parameters(self, template: Template) -> dict[str, Any]:
        columns = {**self._defaults, **template.columns}
        return {name: self._for_insert(name, v) for name, v in columns.items() if v is not None}

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        """The defaults of columns that a template may have."""
        return {name: _field(name).get_default() for name in TEMPLATE_COLUMNS}

    @cached_property
    def _initial(self) -> dict[str, Any]:
        """The values in which all runs begin, besides their state, as parameters."""
        others = (*OWN_COLUMNS, *TEMPLATE_COLUMNS, "state")
        fields = [f for f in TaskRun._meta.concrete_fields if f.attname not in others]
        return {
            field.attname: self._for_insert(field.attname, field.get_default())
            for field in fields
            if field.has_default()
        }

    def _for_insert(self, name: str, value: Any) -> Any:
        empty = EMPTY.get(type(value)) if not value else None
        return empty or self.writer(name)(value)

    # Update.

    def change(
        self,
        runs: Sequence[TaskRun],
        columns: Sequence[str],
        *,
        ends_claim: bool = False,
        cancel_wins: bool = False,
    ) -> Change:
        """Return the change that writes the values of these runs in these columns."""
        shared: dict[str, Any] = {}
        own: dict[str, list[Any]] = {}
        for name in (*KEY_COLUMNS, *columns):
            values: list[Any] = list(map(attrgetter(name), runs))
            write: Callable[[list[Any]], list[Any]] = partial(self._written, name)
            if name in COMPARED_AS_JSON:
                values, write = write(values), list
            if name != "id" and values.count(values[0]) == len(values):
                [shared[name]] = write(values[:1])
            else:
                own[name] = write(values)
        return Change(
            ids=dict(zip(own["id"], [run.id for run in runs], strict=True)),
            shared=shared,
            own=list(own),
            rows=list(zip(*own.values(), strict=True)),
            ends_claim=ends_claim,
            cancel_wins=cancel_wins,
        )

    def _written(self, column: str, values: Iterable[Any]) -> list[Any]:
        """Return the parameters of a column's values, of which None stays None."""
        match _field(column):
            case models.UUIDField():
                return [value if value is None else f"{value.int:032x}" for value in values]
            case models.DateTimeField():
                return self._moments_written(values)
        write = self.writer(column)
        return [value if value is None else write(value) for value in values]

    def _moments_written(self, values: Iterable[datetime | None]) -> list[str | None]:
        # As Django does it, which takes five calls for each.
        zone = self._connection.timezone
        moments = [at if at is None else at.astimezone(zone) for at in values] if zone else values
        return [None if at is None else str(at.replace(tzinfo=None)) for at in moments]

    def writer(self, column: str) -> Convert:
        """Return the conversion of a column's value, other than None, to a parameter."""
        field = _field(column)
        connection = self._connection  # looked up once, because that takes a while
        match field:
            case JSONTextField():
                return field.get_prep_value
            case models.DateTimeField():
                return connection.ops.adapt_datetimefield_value
        return lambda value: field.get_db_prep_save(value, connection)

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


@cache
def rows_of(rows_class: type[Rows], alias: str) -> Rows:
    """Return the Rows that all stores of a database share, with its cache of converted values."""
    return rows_class(alias)


def _field(column: str) -> Field:
    return cast("Field", TaskRun._meta.get_field(column))


def _demand_what_every_run_has(columns: dict[str, Sequence[Any]]) -> None:
    if None in columns["available_at"]:  # which is what Django makes of no date on SQLite
        raise TypeError("available_at must be a datetime.")
    for name in COUNTS:
        if {*map(type, columns[name])} != {int}:  # SQLite has any value in any column
            raise TypeError(f"{name} must be an integer.")


def _stand_in(field: Field, value: Any) -> Any:
    if isinstance(field, JSONTextField):
        return field.unreadable(value)
    if field.primary_key:
        return uuid4()  # of no run, so that nothing is written for it
    return 0 if field.attname in COUNTS else None


def own_columns(new: NewRuns) -> tuple[str, ...]:
    """Return the columns in which these runs differ."""
    lane = () if new.lanes is None else ("lane",)
    metadata = () if new.carried is None else ("metadata",)
    return (*OWN_COLUMNS, *lane, *metadata)


def as_hex(run_id: int) -> str:
    """Return the id in a form that every database reads."""
    return f"{run_id:032x}"


def _literal(value: Any) -> str:
    """Return the SQL of a value in which runs begin."""
    return f"'{value}'" if isinstance(value, str) else str(int(value))


def bytes_of(values: Iterable[Any]) -> int:
    """Return the bytes of those values that may be long: ASCII text."""
    return sum(map(len, [value for value in values if isinstance(value, str)]))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items in order, as many at a time as a statement takes."""
    return in_chunks(items, MAX_ROWS_PER_STATEMENT)


def per_statement(rows: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
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


def _each_once(values: Iterable[Any], read: Convert) -> list[Any]:
    """Convert each value that is not None, and those that are equal only once."""
    known = {value: value if value is None else read(value) for value in {*values}}
    return [known[value] for value in values]


def _sql(states: Iterable[RunState]) -> str:
    return ", ".join(f"'{state.value}'" for state in states)
