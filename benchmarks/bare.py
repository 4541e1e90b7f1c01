"""
Statements of Taskworks' store, sent by the driver alone, which show the highest rate that a system
can reach with this table.

Those of today are recorded when the store sends them, so they are always those of the current
store. Those of ``bare`` are fixed, see ``benchmarks.fixed``.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from benchmarks import databases
from benchmarks.systems.bare import Bare
from benchmarks.systems.taskworks import Taskworks

BATCH = 100
WORKER = UUID(int=0xBE7C4)
UUID_TEXT = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")

Values = Sequence[Any] | dict[str, Any]


# The measurements, called in the producer.


def drain(system: Bare, size: int, binding: str = "as Django", indexes: str = "all") -> float:
    """Claim and finish ``size`` runs, 100 at a time; return runs per second."""
    with only_these_indexes(indexes):
        system.clear()
        claim, finish = system.verbs()
        system.clear()
        register(system)
        system.fill(size)
        databases.settle(system.place)
        seconds = _seconds_to_drain(claim, finish, size, binding)
        assert system.done() == size, f"{system.done()} of {size} were finished"
        return size / seconds


def _seconds_to_drain(claim: "Verb", finish: "Verb", size: int, binding: str) -> float:
    driver = Driver(binding)
    begin = time.perf_counter()
    for _ in range(0, size, BATCH):
        ids = claim.send(driver)
        assert len(ids) == BATCH, f"{len(ids)} were claimed"
        finish.send(driver, ids)
    seconds = time.perf_counter() - begin
    driver.close()
    return seconds


def enqueue(system: Bare, size: int) -> float:
    """Insert ``size`` runs, each committed; return runs per second."""
    system.clear()
    return size / _seconds_to_insert(system, size, 1)


def enqueue_in_transactions(system: Bare, size: int) -> float:
    """Insert ``size`` runs, each between BEGIN and COMMIT; return runs per second."""
    system.clear()
    return size / _seconds_to_insert(system, size, 1, in_transactions=True)


def enqueue_many(system: Bare, size: int, chunk: int) -> float:
    """Insert ``size`` runs, ``chunk`` per transaction; return runs per second."""
    system.clear()
    return size / _seconds_to_insert(system, size, chunk)


def _seconds_to_insert(
    system: Bare, size: int, chunk: int, *, in_transactions: bool = False
) -> float:
    insert, driver = system.insertion(chunk), Driver()
    ids = [insert.fresh_ids() for _ in range(size // chunk)]
    begin = time.perf_counter()
    for some in ids:
        if in_transactions:
            driver.begin()
        insert.send(driver, some, within=in_transactions)
        if in_transactions:
            driver.commit()
    seconds = time.perf_counter() - begin
    driver.close()
    return seconds


# Recording.


@dataclass
class Statement:
    """A statement that was sent, and whether in a transaction of several statements."""

    text: str
    values: Values
    is_atomic: bool
    is_prepared: bool = False  # by PostgreSQL, once the connection has sent it a few times


@contextmanager
def recorded() -> Iterator[list[Statement]]:
    """Yield the list of the statements that are sent in the block."""
    from taskworks.store import store

    connection = store().connection
    statements: list[Statement] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(Statement(sql, params or (), connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note), _noting_prepared(statements):
        yield statements


@contextmanager
def _noting_prepared(statements: list[Statement]) -> Iterator[None]:
    """Note which statements the store has prepared; it does not while a wrapper looks at them."""
    from taskworks.database import prepared as preparing

    fetch = preparing.fetch

    def noting(*arguments: Any) -> Any:
        rows = fetch(*arguments)
        statements[-1].is_prepared = True
        return rows

    preparing.fetch = noting
    try:
        yield
    finally:
        preparing.fetch = fetch


def verbs(system: Taskworks) -> tuple["Verb", "Verb"]:
    """Return the statements that claim, and that finish, 100 runs."""
    from taskworks.options.policy import THREAD
    from taskworks.store import store

    worker = register(system)
    system.fill(BATCH)
    with recorded() as claiming:
        runs = store().claim(worker, "default", ["default"], {THREAD: BATCH})
    assert len(runs) == BATCH, f"{len(runs)} were claimed"
    for number, run in enumerate(runs):
        _succeed(run, number)
    with recorded() as finishing:
        written = store().finish(runs)
    assert len(written) == BATCH, f"{len(written)} were finished"
    ids = [run.id for run in runs]
    return Verb(claiming, ids), Verb(finishing, ids)


def insertion(system: Taskworks, size: int) -> "Verb":
    """Return the INSERTs of ``size`` runs."""
    with recorded() as statements:
        if size == 1:
            system.enqueue(range(size))
        else:
            system.enqueue_many(range(size))
    from taskworks.models import TaskRun

    inserts = [one for one in statements if one.text.lstrip().startswith("INSERT")]
    ids = list(TaskRun.objects.values_list("id", flat=True))
    assert len(ids) == size, f"{len(ids)} were inserted"
    system.clear()
    return Verb(inserts, ids)


def register(system: Taskworks) -> UUID:
    """Register a worker, always the same one; return its id."""
    from taskworks.models import Worker
    from taskworks.store import store

    Worker.objects.all().delete()
    store().register(Worker(id=WORKER, label="bench", hostname="bench", pid=1))
    return WORKER


def _succeed(run: Any, number: int) -> None:
    """Set the columns as the executor does for a successful run, with a different time for each."""
    run.state, run.attempts, run.worker_ids = "successful", 1, ["bench-1234-0123abcd"]
    run.started_at = run.last_attempted_at = run.claimed_at + timedelta(microseconds=50 * number)
    run.finished_at = run.started_at + timedelta(microseconds=40)
    run.return_value = number


# Sending them again.


class Verb:
    """The statements of a store's verb, which can be sent again for other runs."""

    def __init__(self, statements: list[Statement], ids: Sequence[UUID]) -> None:
        assert statements, "the store sent no statement"
        self._size = len(ids)
        self._templates = [Template(one, ids) for one in statements]
        self._is_atomic = any(one.is_atomic for one in statements)

    def fresh_ids(self) -> list[Any]:
        """Return new ids, as many as the recorded statements have."""
        from taskworks.models.run import new_run_id

        return [self._templates[0].form(new_run_id()) for _ in range(self._size)]

    def send(self, driver: "Driver", ids: Sequence[Any] = (), *, within: bool = False) -> list[Any]:
        """
        Send the statements for these runs; return the ids that a SELECT or RETURNING returned.

        If they were recorded in a transaction, they are sent in one, unless ``within`` is true.
        """
        if self._is_atomic and not within:
            driver.begin()
        for template in self._templates:
            if template.names_runs and not ids:
                break
            ids = driver.execute(template, ids) or ids
        if self._is_atomic and not within:
            driver.commit()
        return list(ids)

    @property
    def only(self) -> "Template":
        """The statement, if there is exactly one."""
        [template] = self._templates
        return template


class Template:
    """A statement in which the ids of runs can be replaced."""

    def __init__(self, statement: Statement, ids: Sequence[UUID]) -> None:
        places = {run_id: place for place, run_id in enumerate(ids)}
        self.text, self._values = statement.text, statement.values
        self.is_prepared = statement.is_prepared
        self._single: list[tuple[Any, int]] = []
        self._lists: list[tuple[Any, list[int]]] = []
        self._documents: list[tuple[Any, Document]] = []
        self.form: Callable[[UUID], Any] = lambda run_id: run_id
        for key, value in _items(self._values):
            if (place := places.get(_uuid(value))) is not None:
                self._single.append((key, place))
                self.form = _form(value)
            elif isinstance(value, list) and value and _uuid(value[0]) in places:
                self._lists.append((key, [places[_uuid(one)] for one in value]))
            elif isinstance(value, str) and (document := Document(value, places)).places:
                self._documents.append((key, document))
        self.names_runs = bool(self._single or self._lists or self._documents)

    def values(self, ids: Sequence[Any]) -> Values:
        """Return the parameters with these ids."""
        if not self.names_runs:
            return self._values
        values = dict(self._values) if isinstance(self._values, dict) else list(self._values)
        for key, place in self._single:
            values[key] = ids[place]
        for key, places in self._lists:
            values[key] = [ids[place] for place in places]
        for key, document in self._documents:
            values[key] = document.text(ids)
        return values


class Document:
    """A text parameter that contains the ids of many runs, such as JSON."""

    def __init__(self, text: str, places: dict[UUID, int]) -> None:
        self.places: list[int] = []
        self._pieces, end = [], 0
        for found in UUID_TEXT.finditer(text):
            if (place := places.get(UUID(found[0]))) is not None:
                self.places.append(place)
                self._pieces.append(text[end : found.start()])
                end = found.end()
        self._rest = text[end:]

    def text(self, ids: Sequence[Any]) -> str:
        """Return the text with these ids."""
        pairs = zip(self._pieces, self.places, strict=True)
        return "".join([part for piece, place in pairs for part in (piece, str(ids[place]))]) + (
            self._rest
        )


class Driver:
    """
    A cursor of the driver, without Django.

    ``binding``: "as Django" binds parameters in the client, on Django's connection; "prepared" and
    "unprepared" bind them in the server, on a connection of psycopg's own.
    """

    def __init__(self, binding: str = "as Django") -> None:
        from django.db import connection

        connection.ensure_connection()
        self._vendor = connection.vendor
        self._own = None
        self._prepared = None
        self._options: dict[str, Any] = {}
        if binding == "as Django":
            self._cursor = connection.connection.cursor()
            self._prepared = _preparing_cursor(connection)
        else:
            from benchmarks.place import Place

            self._own = databases.connect(Place.here())
            self._cursor = self._own.cursor()
            self._options = {"prepare": binding == "prepared"}

    def close(self) -> None:
        """Close the cursors, and the connection unless it is Django's."""
        self._cursor.close()
        if self._prepared is not None:
            self._prepared.connection.prepare_threshold = None  # as Django has it
            self._prepared.close()
        if self._own is not None:
            self._own.close()

    def begin(self) -> None:
        """Begin a transaction as Django does."""
        self._cursor.execute("BEGIN IMMEDIATE" if self._vendor == "sqlite" else "BEGIN")

    def commit(self) -> None:
        """Commit the transaction."""
        self._cursor.execute("COMMIT")

    def roll_back(self) -> None:
        """Roll back the transaction."""
        self._cursor.execute("ROLLBACK")

    def first_value(self, prefix: str, verb: Verb) -> Any:
        """Return the first value of a prefix, such as EXPLAIN, with a verb's only statement."""
        self._cursor.execute(prefix + verb.only.text, verb.only.values(()))
        return self._cursor.fetchone()[0]

    def fetch(self, statement: str) -> list[Any]:
        """Return all rows of a query."""
        self._cursor.execute(statement)
        return list(self._cursor.fetchall())

    def execute(self, template: Template, ids: Sequence[Any]) -> list[Any]:
        """Send a statement, read all rows, and return the ids in them."""
        cursor = self._send(template, template.values(ids))
        if not cursor.description:
            return []
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description]
        return [row[names.index("id")] for row in rows] if "id" in names else []

    def _send(self, template: Template, values: Values) -> Any:
        """Send a statement as the store does; return the cursor with its answer."""
        if template.is_prepared and self._prepared is not None:
            return self._prepared.execute(template.text, values, prepare=True)
        text = template.text if self._vendor != "sqlite" else _with_marks(template)
        self._cursor.execute(text, values, **self._options)
        return self._cursor


def _preparing_cursor(connection: Any) -> Any:
    """Return a cursor with which the store has PostgreSQL prepare a statement, or None."""
    if connection.vendor != "postgresql" or not hasattr(connection.connection, "pgconn"):
        return None
    import psycopg

    from taskworks.database.prepared import SENT_BEFORE_PREPARED

    # Django's own cursors ignore it.
    connection.connection.prepare_threshold = SENT_BEFORE_PREPARED
    return psycopg.Cursor(connection.connection)


def _with_marks(template: Template) -> str:
    """Return the text with ? instead of %s, computed once."""
    if not hasattr(template, "marked"):
        template.marked = template.text.replace("%s", "?").replace("%%", "%")
    return template.marked


def prepared(column: str, values: Sequence[Any]) -> list[Any]:
    """Return values of a column as they are sent to the database."""
    from django.db import connection

    from taskworks.models import TaskRun

    field = TaskRun._meta.get_field(column)
    return [field.get_db_prep_save(value, connection) for value in values]


def _items(values: Values) -> Iterator[tuple[Any, Any]]:
    return iter(values.items()) if isinstance(values, dict) else enumerate(values)


def _uuid(value: Any) -> UUID | None:
    if isinstance(value, UUID):
        return value
    return UUID(value) if isinstance(value, str) and UUID_TEXT.fullmatch(value) else None


def _form(sample: Any) -> Callable[[UUID], Any]:
    """Return the function that writes an id in the form of the sample."""
    if isinstance(sample, UUID):
        return lambda run_id: run_id
    return str if "-" in sample else lambda run_id: run_id.hex


# Without secondary indexes.


@contextmanager
def only_these_indexes(which: str) -> Iterator[None]:
    """Drop all secondary indexes but the one that claims read, unless ``which`` is "all"."""
    from django.db import connection

    from taskworks.models import TaskRun

    indexes = [] if which == "all" else TaskRun._meta.indexes
    gone = [index for index in indexes if which not in index.name]
    TaskRun.objects.all()._raw_delete("default")
    with connection.schema_editor() as editor:
        for index in gone:
            editor.remove_index(TaskRun, index)
    try:
        yield
    finally:
        TaskRun.objects.all()._raw_delete("default")
        with connection.schema_editor() as editor:
            for index in gone:
                editor.add_index(TaskRun, index)
