"""What a task is told of its run, and what it tells, in a worker and on every database."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from taskworks import Retry, TaskContext, TaskResult, TaskResultStatus, current_context, task
from taskworks.execution import Attempt
from taskworks.models import RunState, TaskRun, Worker
from taskworks.reserved_metadata import parent_of
from taskworks.store import Store, store
from tests import tasks
from tests.behavior import Settings, executed, refused, run_of, run_worker
from tests.behavior.test_options import OWN, TWINS, use
from tests.connections import begin_elsewhere, elsewhere
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SUCCESSFUL = TaskResultStatus.SUCCESSFUL
MOST = 2**63 - 1


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


WORDS: dict[str, Any] = {
    "number": 5,
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "long": "x" * 2**20,
    "odd": Odd(),
    "four bytes": "🦀",
}
NUMBERS: dict[str, Any] = {"nan": float("nan"), "huge": 10**30, "-huge": -(10**30), "odd": Odd()}


def follow(context: TaskContext, orders: list[list[Any]]) -> None:
    """Call a method of the context for each order."""
    for name, *arguments in orders:
        given = [NUMBERS.get(n, n) if isinstance(n, str) else n for n in arguments]
        getattr(context, name)(*given)


@task(takes_context=True)
def save_in_transaction(context: TaskContext) -> None:
    with transaction.atomic():
        TaskRun.objects.count()
        context.metadata["step"] = 1
        context.save_metadata()


@task(takes_context=True)
def obey(context: TaskContext, *orders: list[Any]) -> None:
    follow(context, [*orders])


@task(takes_context=True)
async def obey_async(context: TaskContext, *orders: list[Any]) -> None:
    for name, *arguments in orders:
        given = [NUMBERS.get(n, n) if isinstance(n, str) else n for n in arguments]
        await getattr(context, f"a{name}")(*given)


@task(takes_context=True, executor="process")
def obey_in_a_process(context: TaskContext, *orders: list[Any]) -> None:
    follow(context, [*orders])


@task(takes_context=True)
def say(context: TaskContext, *names: str) -> None:
    for name in names:
        context.add_message(WORDS[name])
    context.add_message("an odd level", level="odd")


@task(takes_context=True)
def tell_of_time(context: TaskContext) -> list[Any]:
    deadline = context.deadline
    started_at = context.task_result.last_attempted_at
    seconds = (deadline - started_at).total_seconds() if deadline and started_at else None
    return [seconds, context.remaining()]


@task(timeout=60)
def ask_late_for_the_time() -> float | None:
    time.sleep(0.3)
    context = current_context()
    return context.remaining() if context else None


@task(takes_context=True)
def save_and_look(context: TaskContext, **metadata: Any) -> Any:
    """What others see of the metadata when it is saved, while the task still runs."""
    context.metadata.update(metadata)
    context.save_metadata()
    run = elsewhere(lambda: TaskRun.objects.get(id=context.task_result.id))
    return [run.metadata, run.state]


@task(takes_context=True, executor="process")
def save_and_look_in_a_process(context: TaskContext, **metadata: Any) -> Any:
    return save_and_look.func(context, **metadata)


@task(takes_context=True)
async def save_and_look_async(context: TaskContext, **metadata: Any) -> Any:
    context.metadata.update(metadata)
    await context.asave_metadata()
    run = await TaskRun.objects.aget(id=context.task_result.id)
    return [run.metadata, run.state]


@task(takes_context=True)
def save(context: TaskContext, kind: str) -> Any:
    context.metadata["kept"] = 1
    context.save_metadata()
    given: dict[str, Any] = {"object": object(), "keys": {1: 2}, "nan": float("nan"), "nul": "\0"}
    context.metadata["bad"] = given[kind]
    context.save_metadata()


@task(takes_context=True)
def change_and_not_save(context: TaskContext) -> None:
    context.metadata["lost"] = True
    context.set_progress(1)


@task(takes_context=True)
def remember_attempts(context: TaskContext) -> Any:
    seen = [context.task_result.progress, context.task_result.target]
    context.set_target(10)
    context.set_progress(context.attempt)
    context.add_message(f"attempt {context.attempt}")
    context.metadata.setdefault("attempts", []).append([context.attempt, *seen])
    context.save_metadata()
    if context.attempt < 3:
        raise Retry(after=0)


@task(takes_context=True)
def count(context: TaskContext, gate: str) -> int:
    """As fast as it can, until the gate is open, which is a file: it may be in a child process."""
    counted = 0
    while counted % 100 or not Path(gate).exists():
        context.inc_progress()
        counted += 1
    return counted


@task(takes_context=True)
def progress_and_wait(context: TaskContext, gate: str) -> str:
    context.set_progress(1)
    wait_for(Path(gate).exists, "the gate is open")
    return "through"


def is_current(context: TaskContext) -> bool:
    return current_context() is context


@task(takes_context=True)
def compare_contexts(context: TaskContext) -> list[bool]:
    elsewhere_ = threading.Thread(target=lambda: found.append(current_context() is None))
    found = [is_current(context)]
    elsewhere_.start()
    elsewhere_.join()
    return found


@task(takes_context=True)
async def compare_contexts_async(context: TaskContext) -> list[bool]:
    async def child() -> bool:
        return is_current(context)

    return [
        is_current(context),
        await child(),
        await asyncio.create_task(child()),
        await sync_to_async(is_current)(context),
        await sync_to_async(is_current, thread_sensitive=False)(context),
        await asyncio.to_thread(is_current, context),
    ]


@task
def ask_for_the_context() -> list[Any]:
    context = current_context()
    assert context is not None
    context.inc_progress(7)
    return [context.task_result.id, context.attempt, context is current_context()]


@task
async def ask_for_the_context_async() -> list[Any]:
    return ask_for_the_context.func()


@task(takes_context=True)
def enqueue_inside(context: TaskContext, path: str, alias: str) -> list[Any]:
    """Another run, executed at once in the middle of this one."""
    inner = task_by(path).using(backend=alias).enqueue()
    called = task_by(path).call(*([context] if task_by(path).takes_context else []))
    return [inner.status, inner.return_value, called, is_current(context)]


@task
def whose_context() -> str | None:
    context = current_context()
    return context.task_result.id if context else None


@task(takes_context=True)
def whose_context_is_given(context: TaskContext) -> list[Any]:
    return [context.task_result.id, is_current(context)]


def task_by(name: str) -> Any:
    return {"asks": whose_context, "takes": whose_context_is_given}[name]


def told(result: TaskResult) -> tuple[int | None, int | None]:
    run = run_of(result)
    return run.target, run.progress


@pytest.mark.thorough_on_servers
class TestProgress:
    @pytest.mark.parametrize("made", [obey, obey_async])
    @pytest.mark.parametrize(
        ("orders", "target", "progress"),
        [
            ([], None, None),
            ([["set_target", 10]], 10, None),
            ([["set_target", 10], ["set_progress", 3]], 10, 3),
            ([["set_progress", 3]], None, 3),
            ([["inc_progress"]], None, 1),
            ([["inc_progress", 0]], None, 0),
            ([["set_progress", 5], ["inc_progress", 0]], None, 5),
            ([["inc_progress", 4], ["inc_progress"], ["inc_progress", -2]], None, 3),
            ([["set_target", 10], ["set_progress", 11]], 10, 10),
            ([["set_target", 10], ["inc_progress", 11]], 10, 10),
            ([["set_progress", -1]], None, 0),
            ([["inc_progress", -1]], None, 0),
            ([["set_progress", 8], ["set_target", 5]], 5, 5),
            ([["set_target", -1]], 0, None),
            ([["set_target", 5], ["set_target", None]], None, None),
            ([["set_target", 2.9], ["set_progress", 1.9]], 2, 1),
            ([["set_target", "huge"], ["set_progress", "huge"]], MOST, MOST),
            ([["set_progress", "huge"], ["inc_progress", "huge"]], None, MOST),
            ([["set_target", "-huge"], ["set_progress", "-huge"]], 0, 0),
            ([["set_progress", 5], ["inc_progress", "-huge"]], None, 0),
            ([["set_progress", "nan"]], None, 0),
            ([["set_progress", 5], ["inc_progress", "nan"]], None, 5),
            ([["set_progress", "some"]], None, 0),
            ([["set_progress", None]], None, 0),
            ([["set_progress", "odd"]], None, 0),
            ([["set_target", "odd"]], 0, None),
        ],
        ids=str,
    )
    def test_is_in_the_record_as_it_was_at_last(
        self, made: Any, orders: list[Any], target: Any, progress: Any
    ) -> None:
        result = executed(made.enqueue(*orders))
        assert result.status is SUCCESSFUL
        assert (result.target, result.progress) == told(result) == (target, progress)

    def test_of_a_process_is_in_the_record_too(self) -> None:
        orders = [["set_target", 10], ["inc_progress", 3], ["add_message", "hello"]]
        result = executed(obey_in_a_process.enqueue(*orders), "--task-processes", "1")
        assert told(result) == (10, 3)
        assert [message.text for message in result.messages] == ["hello"]


@pytest.mark.thorough_on_servers
class TestMessages:
    def test_are_in_the_result(self) -> None:
        result = executed(say.enqueue("number", "four bytes"))
        assert [message.text for message in result.messages] == ["5", "🦀", "an odd level"]
        assert {message.level for message in result.messages} == {"info"}
        for message in result.messages:
            assert isinstance(message.at, datetime)
            assert abs(message.at - result.finished_at) < timedelta(minutes=1)

    def test_may_be_anything(self) -> None:
        result = executed(say.enqueue("nul", "surrogate", "long", "odd"))
        assert result.status is SUCCESSFUL
        texts = [message.text for message in result.messages[:4]]
        assert texts[:2] == ["a\\x00b", "a\\ud800b"]
        assert texts[2] == "x" * 999 + "…"
        assert texts[3] == "<a Odd that cannot be printed: RuntimeError>"

    def test_are_bounded_in_number(self) -> None:
        result = executed(obey.enqueue(*[["add_message", str(n)] for n in range(150)]))
        assert [message.text for message in result.messages] == [str(n) for n in range(50, 150)]

    @pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
    def test_have_a_level(self, level: str) -> None:
        result = executed(obey_async.enqueue(["add_message", "hello", level]))
        assert [message.level for message in result.messages] == [level]

    def test_of_a_failed_attempt_are_kept(self) -> None:
        result = executed(obey.enqueue(["add_message", "before"], ["no_such_method"]))
        assert result.status is TaskResultStatus.FAILED
        assert [message.text for message in result.messages] == ["before"]


class TestMetadata:
    def test_is_what_using_has_given(self) -> None:
        result = tasks.noop.using(metadata={"a": [1], "ü": None}).enqueue()
        assert result.metadata == run_of(result).metadata == {"a": [1], "ü": None}
        assert tasks.noop.get_result(result.id).metadata == {"a": [1], "ü": None}

    def test_is_empty_otherwise(self) -> None:
        assert tasks.noop.enqueue().metadata == {}

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"a": object()}, TypeError),
            ({"a": float("nan")}, ValueError),
            ({"a": "\0"}, ValueError),
            ({1: 2}, TypeError),
            ({"a": "x" * 2**20}, ValueError),
        ],
        ids=lambda value: f"{value!r:.20}",
    )
    def test_that_is_no_json_is_refused(self, given: Any, error: type[Exception]) -> None:
        made = tasks.noop.using(metadata=given)
        with refused(error, "metadata"):
            made.enqueue()
        with refused(error, "metadata"):
            made.enqueue_many([(1,), (2,)])

    @pytest.mark.parametrize(
        "made", [save_and_look, save_and_look_async, save_and_look_in_a_process]
    )
    def test_is_durable_when_it_is_saved(self, made: Any) -> None:
        enqueue = made.using(metadata={"a": 1}).enqueue
        result = executed(enqueue(b=[2]), "--task-processes", "1")
        [metadata, state] = result.return_value
        assert metadata == {"a": 1, "b": [2]}
        assert state in {RunState.CLAIMED, RunState.RUNNING}
        assert result.metadata == {"a": 1, "b": [2]}

    @pytest.mark.parametrize("kind", ["object", "keys", "nan", "nul"])
    def test_that_cannot_be_saved_fails_the_task_and_spares_what_was(self, kind: str) -> None:
        result = executed(save.enqueue(kind))
        assert result.status is TaskResultStatus.FAILED
        assert result.errors[0].exception_class in {TypeError, ValueError}
        assert "metadata['bad']" in result.errors[0].traceback
        assert result.metadata == {"kept": 1}

    def test_is_saved_in_a_transaction_where_that_holds_no_lock(self) -> None:
        result = executed(save_in_transaction.enqueue())
        if connection.vendor == "sqlite":
            assert "inside a transaction on SQLite" in result.errors[0].traceback
            assert result.metadata == {}
        else:
            assert result.metadata == {"step": 1}

    def test_that_is_not_saved_is_lost(self) -> None:
        result = executed(change_and_not_save.using(metadata={"a": 1}).enqueue())
        assert (result.metadata, result.progress) == ({"a": 1}, 1)


@pytest.mark.thorough_on_servers
class TestOverRetries:
    def test_metadata_and_messages_are_kept_and_progress_begins_anew(self) -> None:
        result = executed(remember_attempts.using(max_attempts=3).enqueue())
        assert (result.status, result.attempts) == (SUCCESSFUL, 3)
        assert result.metadata == {"attempts": [[1, None, None], [2, None, None], [3, None, None]]}
        assert [message.text for message in result.messages] == [f"attempt {n}" for n in (1, 2, 3)]
        assert (result.target, result.progress) == (10, 3)

    def test_progress_is_reset_in_between(self) -> None:
        result = remember_attempts.using(max_attempts=3).enqueue()
        run_worker("--max-tasks", "1")
        result.refresh()
        assert (result.status, result.target, result.progress) == (
            TaskResultStatus.READY,
            None,
            None,
        )


def open_when(gate: Path, condition: Callable[[], bool], what: str) -> "Future[None]":
    """Open the gate as soon as something is so; elsewhere, for a worker is in this thread."""

    def wait_and_open() -> None:
        try:
            wait_for(condition, what, 25)
        finally:
            gate.touch()

    return begin_elsewhere(wait_and_open)


@pytest.mark.thorough_on_servers
class TestThrottle:
    @pytest.fixture
    def writes(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Any]]:
        """When progress was written, and which."""
        writes: list[tuple[float, Any]] = []
        tell = Store.write_progress

        def note(self: Store, runs: list[TaskRun]) -> Any:
            writes.extend((time.monotonic(), run.progress) for run in runs)
            return tell(self, runs)

        monkeypatch.setattr(Store, "write_progress", note)
        return writes

    @pytest.fixture
    def gate(self, tmp_path: Path) -> Path:
        return tmp_path / "gate"

    def test_lets_the_first_through_at_once(
        self, writes: list[tuple[float, Any]], gate: Path
    ) -> None:
        result = progress_and_wait.enqueue(str(gate))
        waiting = open_when(gate, lambda: told(result) == (None, 1), "the first is written")
        assert executed(result).return_value == "through"
        waiting.result(timeout=60)
        assert len(writes) == 1

    def test_writes_no_more_than_ten_a_second_and_the_last(
        self, writes: list[tuple[float, Any]], gate: Path
    ) -> None:
        waiting = open_when(gate, lambda: len(writes) >= 10, "it is written ten times")
        result = executed(count.enqueue(str(gate)))
        waiting.result(timeout=60)
        assert result.progress == result.return_value
        moments = [at for at, _ in writes]
        # The last may come at any time: the task has ended.
        pauses = [b - a for a, b in pairwise(moments[:-1])]
        assert min(pauses) > 0.09
        assert [progress for _, progress in writes] == sorted(progress for _, progress in writes)

    def test_writes_of_what_is_quickly_done_the_first_and_the_last(
        self, writes: list[tuple[float, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("taskworks.recording.progress_writer.WRITE_INTERVAL", 60.0)
        result = executed(obey.enqueue(*[["inc_progress"]] * 500))
        assert result.progress == 500
        assert len(writes) <= 2

    def test_writes_nothing_for_a_task_that_tells_nothing(
        self, writes: list[tuple[float, Any]]
    ) -> None:
        executed(tasks.noop.enqueue())
        assert writes == []


class TestTheStore:
    @pytest.fixture
    def attempt(self) -> Attempt:
        row = Worker(label="of a test", hostname="here", pid=1)
        store().register(row)
        tasks.noop.enqueue()
        [run] = store().claim(row.id, "default", ["default"], {"thread": 1})
        return Attempt(run, "a label")

    def test_writes_the_columns_of_progress_alone(self, attempt: Attempt) -> None:
        before = TaskRun.objects.values().get()
        run = attempt.run
        run.target, run.progress, run.metadata = 10, 5, {"a": 1}
        run.messages = [{"at": "2026-01-01T00:00:00+00:00", "level": "info", "text": "ü"}]
        run.queue_name, run.attempts = "another", 9
        assert store().write_progress([run]) == {run.id}
        changes = {name: getattr(run, name) for name in ("target", "progress", "metadata")}
        assert TaskRun.objects.values().get() == {**before, **changes, "messages": run.messages}

    def test_refuses_a_zombies_quietly(self, attempt: Attempt) -> None:
        before = TaskRun.objects.values().get()
        attempt.run.progress = 5
        Worker.objects.update(given_up_at=store().read_clock())
        assert len(store().rescue(10)) == 1
        assert store().write_progress([attempt.run]) == set()
        row = Worker(label="another", hostname="here", pid=1)
        store().register(row)
        [again] = store().claim(row.id, "default", ["default"], {"alone": 1})
        assert store().write_progress([attempt.run]) == set()
        assert TaskRun.objects.get().progress is before["progress"] is None
        again.progress = 7
        assert store().write_progress([again, attempt.run]) == {again.id}
        assert TaskRun.objects.get().progress == 7

    @pytest.mark.parametrize("state", ["ready", "successful", "failed", "cancelled"])
    def test_refuses_what_is_not_in_hand(self, attempt: Attempt, state: str) -> None:
        TaskRun.objects.update(state=state)
        attempt.run.progress = 5
        assert store().write_progress([attempt.run]) == set()
        assert TaskRun.objects.get().progress is None

    def test_writes_many_with_few_statements(self) -> None:
        row = Worker(label="of a test", hostname="here", pid=1)
        store().register(row)
        tasks.noop.enqueue_many([(n,) for n in range(50)])
        runs = store().claim(row.id, "default", ["default"], {"thread": 50})
        for number, run in enumerate(runs):
            run.progress = number
        with CaptureQueriesContext(connection) as captured:
            assert len(store().write_progress(runs)) == 50
        assert len(captured) <= (1 if connection.vendor != "mysql" else 52)
        for run in runs:
            assert TaskRun.objects.get(id=run.id).progress == run.progress


@pytest.mark.thorough_on_servers
class TestTime:
    def test_is_unlimited_without_a_timeout(self) -> None:
        assert executed(tell_of_time.enqueue()).return_value == [None, None]

    @pytest.mark.parametrize("executor", ["thread", "process"])
    def test_ends_with_the_timeout(self, executor: str) -> None:
        made = tell_of_time.using(timeout=60, executor=executor)
        deadline, remaining = executed(made.enqueue(), "--task-processes", "1").return_value
        assert deadline == 60
        assert 0 < remaining <= 60

    def test_counts_from_the_start_of_the_attempt(self) -> None:
        assert executed(ask_late_for_the_time.enqueue()).return_value < 59.8


@pytest.mark.thorough_on_servers
class TestCurrentContext:
    def test_is_none_outside_of_a_task(self) -> None:
        assert current_context() is None
        run_worker()
        assert current_context() is None

    def test_is_the_one_that_is_given(self) -> None:
        assert executed(compare_contexts.enqueue()).return_value == [True, True]

    def test_is_the_same_for_coroutines_and_the_threads_they_call(self) -> None:
        assert executed(compare_contexts_async.enqueue()).return_value == [True] * 6

    @pytest.mark.parametrize("made", [ask_for_the_context, ask_for_the_context_async])
    def test_is_there_for_a_task_that_takes_none(self, made: Any) -> None:
        result = executed(made.enqueue())
        assert result.return_value == [result.id, 1, True]
        assert result.progress == 7

    def test_is_there_in_a_process(self) -> None:
        made = ask_for_the_context.using(executor="process")
        result = executed(made.enqueue(), "--task-processes", "1")
        assert result.return_value == [result.id, 1, True]
        assert result.progress == 7

    def test_is_that_of_each_run(self) -> None:
        results = ask_for_the_context.enqueue_many([()] * 10)
        run_worker()
        for result in results:
            result.refresh()
            assert result.return_value == [result.id, 1, True]

    @pytest.mark.parametrize("path", ["asks", "takes"])
    def test_of_a_run_inside_another_is_its_own(self, path: str) -> None:
        result = executed(enqueue_inside.enqueue(path, "immediate"))
        status, inner, called, is_outer_again = result.return_value
        assert status == SUCCESSFUL
        if path == "takes":
            assert inner != [result.id, True]
            assert inner[1] is True
            assert called == [result.id, True]
        else:
            assert inner != result.id
            assert inner is not None
            assert called == result.id
        assert is_outer_again

    @pytest.mark.parametrize("which", ["twin", "own"])
    @pytest.mark.parametrize("name", ["compare_contexts", "compare_contexts_async"])
    def test_is_there_under_an_immediate_backend(
        self, settings: Settings, which: str, name: str
    ) -> None:
        use(settings, {"twin": TWINS, "own": OWN}[which]["immediate"])
        result = globals()[name].enqueue()
        assert result.status is SUCCESSFUL, result.errors
        assert all(result.return_value)
        assert current_context() is None

    def test_of_a_task_that_takes_none_is_there_under_our_immediate_backend(
        self, settings: Settings
    ) -> None:
        use(settings, TWINS["immediate"])
        result = ask_for_the_context.enqueue()
        assert result.status is SUCCESSFUL, result.errors
        assert result.return_value == [result.id, 1, True]
        assert async_to_sync(ask_for_the_context.aenqueue)().status is SUCCESSFUL
        assert current_context() is None

    def test_does_nothing_under_an_immediate_backend(self, settings: Settings) -> None:
        for backend in (TWINS["immediate"], OWN["immediate"]):
            use(settings, backend)
            result = obey.enqueue(["set_target", 5], ["inc_progress"], ["add_message", "hello"])
            assert result.status is SUCCESSFUL, result.errors
            assert save.enqueue("nul").status is TaskResultStatus.FAILED


def test_a_worker_survives_whatever_a_task_tells() -> None:
    odd = obey.enqueue(["set_target", "-huge"], ["set_progress", "huge"], ["inc_progress", "odd"])
    neighbour = tasks.add.enqueue(1, 2)
    run_worker()
    assert run_of(odd).state == run_of(neighbour).state == RunState.SUCCESSFUL


def test_progress_that_is_refused_decides_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    result = save_and_look.enqueue(a=1)
    monkeypatch.setattr(Store, "write_progress", lambda self, runs: set())
    assert executed(result).status is SUCCESSFUL
    assert result.metadata == {}


def test_a_run_remembers_the_run_that_has_enqueued_it() -> None:
    parent = executed(tasks.enqueue_noop.enqueue())
    child = TaskRun.objects.get(id=parent.return_value)
    assert child.metadata == {"taskworks.parent": parent.id}
    assert parent_of(child.metadata) == UUID(parent.id)
    assert parent_of(run_of(parent).metadata) is None


@pytest.mark.parametrize("given", [{}, None, {"taskworks.parent": 1}, {"taskworks.parent": "x"}])
def test_nonsense_is_no_parent(given: Any) -> None:
    assert parent_of(given) is None


def test_each_error_says_when_its_attempt_began() -> None:
    result = executed(tasks.fail.using(max_attempts=2, backoff=0).enqueue())
    run = run_of(result)
    began = [datetime.fromisoformat(entry["began"]) for entry in run.errors]
    ended = [datetime.fromisoformat(entry["at"]) for entry in run.errors]
    assert run.started_at == began[0] <= ended[0] <= began[1] <= ended[1] == run.finished_at
    assert began[1] == run.last_attempted_at


def test_what_was_cancelled_before_it_began_began_at_no_time() -> None:
    result = tasks.noop.enqueue()
    result.cancel()
    assert [entry["began"] for entry in run_of(result).errors] == [None]
