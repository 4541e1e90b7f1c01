"""
Queries of the ORM that a process asks again and again. To compose one can take longer than the
database takes to answer it, so each connection keeps the SQL, and only the values are new.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import count
from typing import Any, TypeVar
from uuid import UUID, uuid4

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, QuerySet

from taskworks.database.clock import DatabaseClock, Moment, moments_are_parameters

One = UUID | int | str
Value = One | Sequence[UUID]
Compose = Callable[..., "QuerySet[Any, Any]"]
Row = TypeVar("Row", bound=Model)

KEPT_AS = "_taskworks_composed"  # the attribute of a connection
MAX_KEPT = 500  # queries of a connection
MAX_IN_PLACE = 999  # values that follow IN; of more, MariaDB makes a temporary table
_integers = count(1_610_612_741)  # of 32 bits, for which a query has a place in any column


def fetch(
    connection: BaseDatabaseWrapper,
    compose: Compose,
    *values: Value,
    fixed: Sequence[Hashable] = (),
) -> list[tuple[Any, ...]]:
    """
    Return the rows of ``compose(*values, *fixed)``, a query made by ``values_list()``.

    ``compose`` is a function of a module. It passes the values, UUIDs, integers, texts and
    sequences of UUIDs, to the query as they are. What it decides by anything else is ``fixed``.
    """
    if not all(value for value in values if not isinstance(value, One)):
        return []  # a query for none of several
    connection = connections[connection.alias]  # not a proxy, which all threads share
    values = tuple(value if isinstance(value, One) else _padded(value) for value in values)
    return _composed(connection, compose, values, fixed).fetch(connection, values)


def with_now(rows: "QuerySet[Row]") -> "QuerySet[Row, tuple[Any, ...]]":
    """Return a query for ``fetch_with_now``."""
    return rows.values_list(*_columns_of(rows.model), DatabaseClock())


def fetch_with_now(
    connection: BaseDatabaseWrapper, model: type[Row], compose: Compose, *values: Value
) -> list[Row]:
    """
    Return the rows of ``compose(*values)``, a query made by ``with_now``. Each has the database's
    time as ``now``.
    """
    rows, names = list[Row](), _columns_of(model)
    for *columns, now in fetch(connection, compose, *values):
        row = model.from_db(connection.alias, names, columns)
        row.now = now  # type: ignore[attr-defined]
        rows.append(row)
    return rows


def _columns_of(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _padded(values: Sequence[UUID]) -> list[UUID]:
    """Repeat the last one, so that there are few lengths, and as few queries to compose."""
    length = 1 << (len(values) - 1).bit_length()
    if len(values) <= MAX_IN_PLACE:
        length = min(length, MAX_IN_PLACE)
    return [*values, *[values[-1]] * (length - len(values))]


def _composed(
    connection: BaseDatabaseWrapper,
    compose: Compose,
    values: Sequence[Value],
    fixed: Sequence[Hashable],
) -> "_ComposedQuery":
    kept: dict[Hashable, _ComposedQuery] = connection.__dict__.setdefault(KEPT_AS, {})
    shape = tuple(0 if isinstance(value, One) else len(value) for value in values)
    # A test may have changed the clock.
    key = compose, shape, *fixed, DatabaseClock.moved, DatabaseClock.is_python_s
    if key not in kept:
        if len(kept) >= MAX_KEPT:
            kept.clear()
        kept[key] = _ComposedQuery(connection, compose, values, fixed)
    return kept[key]


class _ComposedQuery:
    """The SQL of a query, and where its values stand in it."""

    def __init__(
        self,
        connection: BaseDatabaseWrapper,
        compose: Compose,
        values: Sequence[Value],
        fixed: Sequence[Hashable],
    ) -> None:
        marks = [_marks(one) for one in values]
        query = compose(*marks, *fixed).query
        self._compiler = query.get_compiler(connection=connection)
        with moments_are_parameters():
            self._sql, self._parameters = self._compiler.as_sql()
        stored = _as_stored(_flat(marks), connection)
        places = {mark: place for place, mark in enumerate(stored)}
        self._places = {
            number: places[parameter]
            for number, parameter in enumerate(self._parameters)
            if isinstance(parameter, One) and parameter in places
        }
        if missing := {*places.values()}.difference(self._places.values()):
            raise AssertionError(f"{compose.__qualname__} does not pass on {len(missing)} values.")

    def fetch(
        self, connection: BaseDatabaseWrapper, values: Sequence[Value]
    ) -> list[tuple[Any, ...]]:
        """Return the rows with these values, which are as many as those it was composed with."""
        given = _as_stored(_flat(values), connection)
        parameters = [
            given[self._places[number]]
            if number in self._places
            else parameter.value(connection)
            if isinstance(parameter, Moment)
            else parameter
            for number, parameter in enumerate(self._parameters)
        ]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            rows = cursor.fetchall()
        return [*self._compiler.results_iter([rows], tuple_expected=True)]


def _marks(value: Value) -> Any:
    """Values that occur nowhere else, of the same kind and number."""
    if isinstance(value, UUID):
        return uuid4()
    if isinstance(value, int):
        return next(_integers)
    if isinstance(value, str):
        return f"a mark {uuid4()}"
    return [uuid4() for _ in value]


def _flat(values: Iterable[Value]) -> list[One]:
    return [one for value in values for one in ([value] if isinstance(value, One) else value)]


def _as_stored(values: Iterable[One], connection: BaseDatabaseWrapper) -> list[One]:
    """Return values as the driver gets them, as Django's UUIDField prepares them."""
    if connection.features.has_native_uuid_field:
        return [*values]
    return [value.hex if isinstance(value, UUID) else value for value in values]
