"""Instruments of a project, and what they may break: nothing."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, get_args

import pytest
from django.db import transaction

from taskworks import instruments
from taskworks.database import messengers
from taskworks.execution import seen_attempts
from taskworks.execution.outcome import Outcome
from taskworks.instruments import EnqueuedRuns, ExecutedAttempt, Instrument
from taskworks.reserved_metadata import OF_INSTRUMENTS
from tests import limited, tasks
from tests.behavior import executed, run_of, run_worker
from tests.traces import shelf
from tests.waiting import wait_for

current: ContextVar[str] = ContextVar("current", default="nobody")


class Notes(Instrument):
    name = "notes"

    def __init__(self) -> None:
        self.enqueued: list[EnqueuedRuns] = []
        self.attempts: list[ExecutedAttempt] = []
        self.recorded: list[ExecutedAttempt] = []
        self.raised: list[BaseException] = []
        self.flushed = False

    def flush(self) -> None:
        self.flushed = True

    @contextmanager
    def enqueuing(self, runs: EnqueuedRuns) -> Iterator[None]:
        runs.carry(self.name, {"by": current.get()})
        self.enqueued.append(runs)
        try:
            yield
        except BaseException as error:
            self.raised.append(error)
            raise

    @contextmanager
    def executing(self, attempt: ExecutedAttempt) -> Iterator[None]:
        self.attempts.append(attempt)
        current.set(attempt.carried(self.name)["by"])
        yield

    def recording(self, attempts: Any) -> None:
        self.recorded += attempts


@pytest.fixture
def notes() -> Notes:
    noted = Notes()
    instruments.add(noted)
    return noted


def test_what_an_instrument_sees(notes: Notes) -> None:
    current.set("Ada")
    result = shelf.broken.enqueue("here")
    [enqueued] = notes.enqueued
    assert (enqueued.ids, enqueued.task) == ([result.id], "tests.traces.shelf.broken")
    assert enqueued.sizes == [len('["here"]{}')]
    assert result.metadata == run_of(result).metadata == {OF_INSTRUMENTS: {"notes": {"by": "Ada"}}}
    run_worker()
    first, last = notes.attempts
    assert [one.outcome for one in (first, last)] == ["retried", "failed"]
    assert [(one.number, one.failures) for one in (first, last)] == [(1, 0), (2, 1)]
    assert [len(one.errors) for one in (first, last)] == [0, 1]
    assert (first.delay, last.delay) == (0.0, None)
    assert isinstance(last.exception, shelf.Broken)
    assert last.error is not None
    assert last.error["exception_class_path"] == "tests.traces.shelf.Broken"
    assert last.began_at <= last.ended_at
    for one in (enqueued, last):
        with pytest.raises(TypeError):
            one.metadata["a"] = 1  # type: ignore[index]
    assert last.size == enqueued.sizes[0]
    recorded = notes.recorded
    assert [one.outcome for one in recorded] == ["retried", "failed"]
    assert {one.seen_by for one in recorded} == {frozenset(["notes"])}
    assert [(one.number, one.failures) for one in recorded] == [(1, 0), (2, 1)]
    assert [len(one.errors) for one in recorded] == [0, 1]


def test_what_it_sets_holds_for_the_task_alone(notes: Notes) -> None:
    current.set("Ada")
    with transaction.atomic():
        result = shelf.traced.enqueue_on_commit()
        current.set("Grace")
    assert run_of(result).metadata[OF_INSTRUMENTS] == {"notes": {"by": "Ada"}}
    run_worker()
    assert current.get() == "Grace"


def test_every_run_of_many_carries_its_own() -> None:
    class Numbers(Instrument):
        name = "numbers"

        @contextmanager
        def enqueuing(self, runs: EnqueuedRuns) -> Iterator[None]:
            runs.carry(self.name, *({"number": str(n)} if n else {} for n in range(len(runs.ids))))
            yield

    instruments.add(Numbers())
    # More than one statement holds.
    many = [({"a": 1, "b": number}) for number in range(2100)]
    results = tasks.add.using(metadata={"project": "ours"}).enqueue_many(many)
    for number in (0, 1, 2000, 2099):
        carried = {OF_INSTRUMENTS: {"numbers": {"number": str(number)}}} if number else {}
        expected = {"project": "ours", **carried}
        assert run_of(results[number]).metadata == results[number].metadata == expected
    some = limited.in_turn.enqueue_many([("acme",), ("other",)])
    assert run_of(some[1]).metadata[OF_INSTRUMENTS] == {"numbers": {"number": "1"}}
    one = limited.in_turn.enqueue("acme")
    assert run_of(one).lane == "acme"
    assert run_of(one).metadata == {}


class Fails(Instrument):
    """At one place of all, in one way of all."""

    name = "fails"

    def __init__(self, place: str, error: BaseException) -> None:
        self._place, self._error = place, error

    def _fail(self, place: str) -> None:
        if place == self._place:
            raise self._error

    @contextmanager
    def enqueuing(self, runs: EnqueuedRuns) -> Iterator[None]:
        self._fail("before enqueuing")
        if self._place == "carry":
            runs.carry(self.name, {"a": object()})  # type: ignore[dict-item]
        yield
        self._fail("after enqueuing")

    @contextmanager
    def executing(self, attempt: ExecutedAttempt) -> Iterator[None]:
        self._fail("before executing")
        yield
        self._fail("after executing")

    def recording(self, attempts: Any) -> None:
        self._fail("recording")


PLACES = ("before enqueuing", "carry", "after enqueuing", "before executing", "after executing")


@pytest.mark.any_database
@pytest.mark.parametrize("place", [*PLACES, "recording"])
@pytest.mark.parametrize("task", [tasks.add, tasks.add_async], ids=["thread", "async"])
def test_an_instrument_that_fails_changes_nothing(
    notes: Notes, task: Any, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    instruments.add(Fails(place, RuntimeError("the exporter is gone")))
    assert executed(task.enqueue(1, 2)).return_value == 3
    assert "The instrument 'fails' failed" in caplog.text
    assert len(notes.enqueued) == len(notes.attempts) == len(notes.recorded) == 1
    [attempt] = notes.attempts
    assert attempt.outcome == "successful"


@pytest.mark.any_database
def test_a_run_that_cannot_be_described(
    notes: Notes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse_one(attempt: Any) -> float:
        if attempt.run.task_path == tasks.add.module_path:
            raise TypeError("of a row that somebody has written")
        return 0.0

    monkeypatch.setattr(seen_attempts, "_waited", refuse_one)
    other = tasks.noop.enqueue()
    assert executed(tasks.add.enqueue(1, 2)).return_value == 3
    assert [one.run_id for one in notes.attempts] == [other.id]
    assert [one.run_id for one in notes.recorded] == [other.id]
    assert "cannot be described to instruments" in caplog.text


@pytest.mark.any_database
@pytest.mark.parametrize("place", ["before executing", "after executing"])
def test_an_instrument_that_exits_ends_no_worker(place: str) -> None:
    instruments.add(Fails(place, SystemExit(3)))
    assert executed(tasks.add.enqueue(1, 2)).return_value == 3


@pytest.mark.any_database
def test_an_error_of_the_enqueue_is_seen_and_raised(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taskworks.store import store

    error = RuntimeError("the disk is full")

    def refuse(*args: Any) -> None:
        raise error

    monkeypatch.setattr(type(store()), "_insert_due", refuse)
    with pytest.raises(RuntimeError, match="the disk is full"):
        tasks.noop.enqueue()
    assert notes.raised == [error]
    try:
        raise ValueError
    except ValueError:
        monkeypatch.undo()
        tasks.noop.enqueue()  # while another error is handled
    assert notes.raised == [error]


@pytest.mark.any_database
def test_a_leaving_worker_does_not_wait_long_for_an_instrument(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, let_go = threading.Event(), threading.Event()

    class Hangs(Instrument):
        name = "hangs"

        def flush(self) -> None:
            hangs.set()
            let_go.wait(60)

    instruments.in_use = (Hangs(), notes)
    monkeypatch.setattr(instruments, "FLUSH_WITHIN", 0.01)
    instruments.flush()
    assert hangs.is_set()
    let_go.set()
    wait_for(lambda: notes.flushed, "the other one is flushed as well")


@pytest.mark.any_database
def test_an_instrument_needs_a_name() -> None:
    class Nameless(Instrument):
        pass

    with pytest.raises(ValueError, match="Nameless has no name"):
        instruments.add(Nameless())
    assert not instruments.in_use


@pytest.mark.any_database
def test_every_outcome_has_a_word() -> None:
    assert all(outcome.word for outcome in get_args(Outcome))


# Who has none pays nothing.


def calls_of(function: Any, *, in_each_thread: bool = False) -> list[str]:
    """Return the names of functions of Python that it calls, also in threads that it starts."""
    called: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            called.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}")

    sys.setprofile(note)
    threading.setprofile(note if in_each_thread else None)
    try:
        function()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return called


@pytest.mark.any_database
def test_an_enqueue_without_instruments_calls_nothing_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messengers, "in_use", ())  # those of Celery that other tests have used
    tasks.noop.enqueue()
    called = calls_of(tasks.noop.enqueue)
    assert not [one for one in called if "instruments" in one or "seen" in one]
    assert not [one for one in called if one.endswith(("._own_metadata", ".NewRuns.metadata"))]
    assert [one for one in called if one.endswith("._insert_due")]


def test_an_attempt_without_instruments_calls_nothing_of_them() -> None:
    tasks.add_async.enqueue(1, 2)
    called = calls_of(run_worker, in_each_thread=True)
    assert not [one for one in called if "_seen" in one or "instruments.executing" in one]
    ours = [one for one in called if one == "taskworks.execution.executor.aexecute"]
    assert len(ours) == 1, "it is no coroutine around another, which would be resumed as often"


@pytest.mark.any_database
def test_nothing_is_imported_that_nobody_asks_for() -> None:
    script = (
        "import sys, taskworks, taskworks.instruments\n"
        "from django.conf import settings; settings.configure(INSTALLED_APPS=['taskworks'])\n"
        "import django; django.setup()\n"
        "import taskworks.worker, taskworks.backends.database, taskworks.testing\n"
        "import taskworks.management.commands.taskworks\n"
        "from taskworks.management.subcommands import SUBCOMMANDS\n"
        "assert all(subcommand.load() for subcommand in SUBCOMMANDS.values())\n"
        "unasked = 'opentelemetry', 'sentry_sdk', 'pydantic', 'http.server', 'taskworks.typed'\n"
        "print([one for one in sys.modules if one.startswith(unasked)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("taskworks.opentelemetry", "opentelemetry", "opentelemetry"),
        ("taskworks.sentry", "sentry_sdk", "sentry"),
    ],
)
def test_a_package_that_is_missing_is_named(module: str, package: str, extra: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; import {module}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert f"pip install 'django-taskworks[{extra}]'" in done.stderr


EARLY = """
from taskworks.opentelemetry import TaskworksInstrumentor
TaskworksInstrumentor().instrument()

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from taskworks import instruments
from taskworks.instruments import EnqueuedRuns

exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(exporter))
named = {"task": "a.b", "queue_name": "default", "backend": "default"}
with instruments.enqueuing(EnqueuedRuns(ids=["1"], sizes=[4], metadata={}, **named)):
    pass
instruments.flush()
print(*(span.name for span in exporter.get_finished_spans()))
"""


@pytest.mark.any_database
def test_it_can_be_imported_before_settings() -> None:
    """As the command ``opentelemetry-instrument`` does."""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", EARLY], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "send default"
