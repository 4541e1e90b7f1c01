"""
Our store's own statements, caught as it sends them and sent again by the driver alone.

So what a system can reach at best on this table stays true when the store changes.
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
from benchmarks.systems.taskworks import Taskworks

BATCH = 100
UUID_TEXT = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")

Values = Sequence[Any] | dict[str, Any]


# What is measured: called in the producer.


def drain(system: Taskworks, size: int, binding: str = "as Django", indexes: str = "all") -> float:
    """Claim and finish so many runs, a hundred at a time; how many a second."""
    with only_these_indexes(indexes):
        system.clear()
        claim, finish = verbs(system)
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


def enqueue(system: Taskworks, size: int) -> float:
    """Insert so many runs, each committed; how many a second."""
    system.clear()
    return size / _seconds_to_insert(system, size, 1)


def enqueue_many(system: Taskworks, size: int, chunk: int) -> float:
    """Insert so many runs, ``chunk`` in a transaction; how many a second."""
    system.clear()
    return size / _seconds_to_insert(system, size, chunk)


def _seconds_to_insert(system: Taskworks, size: int, chunk: int) -> float:
    insert, driver = insertion(system, chunk), Driver()
    ids = [insert.fresh_ids() for _ in range(size // chunk)]
    begin = time.perf_counter()
    for some in ids:
        insert.send(driver, some)
    seconds = time.perf_counter() - begin
    driver.close()
    return seconds


# Catch.


@dataclass
class Statement:
    """What was sent, and whether in a transaction that others of the verb were in as well."""

    text: str
    values: Values
    is_atomic: bool


@contextmanager
def caught() -> Iterator[list[Statement]]:
    """The statements that are sent meanwhile."""
    from taskworks.store import store

    connection = store().connection
    statements: list[Statement] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(Statement(sql, params or (), connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield statements


def verbs(system: Taskworks) -> tuple["Verb", "Verb"]:
    """The claim and the finish of a hundred runs."""
    from taskworks.options.policy import THREAD
    from taskworks.store import store

    worker = register(system)
    system.fill(BATCH)
    with caught() as claiming:
        runs = store().claim(worker, "default", ["default"], {THREAD: BATCH})
    assert len(runs) == BATCH, f"{len(runs)} were claimed"
    for number, run in enumerate(runs):
        _succeed(run, number)
    with caught() as finishing:
        written = store().finish(runs)
    assert len(written) == BATCH, f"{len(written)} were finished"
    ids = [run.id for run in runs]
    return Verb(claiming, ids), Verb(finishing, ids)


def insertion(system: Taskworks, size: int) -> "Verb":
    """The INSERTs of so many runs."""
    with caught() as statements:
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
    """A worker that lives, always the same."""
    from taskworks.models import Worker
    from taskworks.store import store

    worker = UUID(int=0xBE7C4)
    Worker.objects.all().delete()
    store().register(Worker(id=worker, label="bench", hostname="bench", pid=1))
    return worker


def _succeed(run: Any, number: int) -> None:
    """As the executor leaves a run that has returned its argument, at a time of its own."""
    run.state, run.attempts, run.worker_ids = "successful", 1, ["bench-1234-0123abcd"]
    run.started_at = run.last_attempted_at = run.claimed_at + timedelta(microseconds=50 * number)
    run.finished_at = run.started_at + timedelta(microseconds=40)
    run.return_value = number


# Send again.


class Verb:
    """The statements of a verb, which can be sent for other runs than they were caught with."""

    def __init__(self, statements: list[Statement], ids: Sequence[UUID]) -> None:
        assert statements, "the store has sent nothing"
        self._size = len(ids)
        self._templates = [Template(one, ids) for one in statements]
        self._is_atomic = any(one.is_atomic for one in statements)

    def fresh_ids(self) -> list[Any]:
        """As many ids as it was caught with."""
        from taskworks.models.run import new_run_id

        return [self._templates[0].form(new_run_id()) for _ in range(self._size)]

    def send(self, driver: "Driver", ids: Sequence[Any] = (), *, within: bool = False) -> list[Any]:
        """
        Send them for these runs, and return the runs that a SELECT or RETURNING named; in a
        transaction of their own if they were in one, and not ``within`` the caller's.
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
        """Its statement, if it is one."""
        [template] = self._templates
        return template


class Template:
    """A statement in which the ids of runs can be exchanged."""

    def __init__(self, statement: Statement, ids: Sequence[UUID]) -> None:
        places = {run_id: place for place, run_id in enumerate(ids)}
        self.text, self._values = statement.text, statement.values
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
        """Its parameters, with these ids."""
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
    """A parameter that is a text with the ids of many runs in it, such as JSON."""

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
        """With these ids."""
        pairs = zip(self._pieces, self.places, strict=True)
        return "".join([part for piece, place in pairs for part in (piece, str(ids[place]))]) + (
            self._rest
        )


class Driver:
    """
    Django's connection without Django: its driver's cursor, which binds ``as Django`` does, in the
    client; or psycopg's own, which has the server bind, ``prepared`` or ``unprepared``.
    """

    def __init__(self, binding: str = "as Django") -> None:
        from django.db import connection

        connection.ensure_connection()
        self._vendor = connection.vendor
        self._own = None
        self._options: dict[str, Any] = {}
        if binding == "as Django":
            self._cursor = connection.connection.cursor()
        else:
            from benchmarks.place import Place

            self._own = databases.connect(Place.here())
            self._cursor = self._own.cursor()
            self._options = {"prepare": binding == "prepared"}

    def close(self) -> None:
        """Close what is not Django's."""
        self._cursor.close()
        if self._own is not None:
            self._own.close()

    def begin(self) -> None:
        """As Django begins a transaction."""
        self._cursor.execute("BEGIN IMMEDIATE" if self._vendor == "sqlite" else "BEGIN")

    def commit(self) -> None:
        """And ends it."""
        self._cursor.execute("COMMIT")

    def roll_back(self) -> None:
        """As if nothing had been sent."""
        self._cursor.execute("ROLLBACK")

    def ask(self, question: str, verb: Verb) -> Any:
        """What the database says of a statement."""
        self._cursor.execute(question + verb.only.text, verb.only.values(()))
        return self._cursor.fetchone()[0]

    def fetch(self, statement: str) -> list[Any]:
        """All rows."""
        self._cursor.execute(statement)
        return list(self._cursor.fetchall())

    def execute(self, template: Template, ids: Sequence[Any]) -> list[Any]:
        """Send it, read all that comes, and return the ids in it."""
        text = template.text if self._vendor != "sqlite" else _with_marks(template)
        self._cursor.execute(text, template.values(ids), **self._options)
        if not self._cursor.description:
            return []
        rows = self._cursor.fetchall()
        names = [column[0] for column in self._cursor.description]
        return [row[names.index("id")] for row in rows] if "id" in names else []


def _with_marks(template: Template) -> str:
    """Its text with ? for %s, made once."""
    if not hasattr(template, "marked"):
        template.marked = template.text.replace("%s", "?").replace("%%", "%")
    return template.marked


def prepared(column: str, values: Sequence[Any]) -> list[Any]:
    """As they are sent to the database."""
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
    """How ids are written there."""
    if isinstance(sample, UUID):
        return lambda run_id: run_id
    return str if "-" in sample else lambda run_id: run_id.hex


# Without indexes.


@contextmanager
def only_these_indexes(which: str) -> Iterator[None]:
    """Without the secondary indexes but the one that claims read, if ``which`` is not ``all``."""
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
