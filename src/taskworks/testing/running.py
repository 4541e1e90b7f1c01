"""Execute enqueued runs in the thread of a test."""

import asyncio
import contextvars
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from asgiref.sync import sync_to_async

from taskworks.backends.database import DatabaseBackend
from taskworks.duties.promote import promote
from taskworks.duties.unblock import unblock_all
from taskworks.execution import (
    Attempt,
    Failed,
    Outcome,
    Parked,
    Postponed,
    Released,
    Retried,
    ThreadGuard,
    claim_lost,
    execute,
    judge,
    prepare,
)
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.models import TaskRun, Worker
from taskworks.options.policy import LANES
from taskworks.recording.events import Attempts, RunEvents, Subscriber
from taskworks.recording.ledger import Ledger
from taskworks.recording.subscribers import RunLog, RunSignals, ToInstruments
from taskworks.result import TaskResult
from taskworks.steps.requests import Request
from taskworks.store import store
from taskworks.store.limiting import Line
from taskworks.store.paused import NOTHING, Paused
from taskworks.testing.transactions import as_without_transactions
from taskworks.worker.claiming.queues import Queues

LABEL = "run_tasks"
MAX_ATTEMPTS = 10_000  # without a limit; then the runs are assumed to enqueue each other endlessly
ONE_OF_EACH = dict.fromkeys(LANES, 1)


def run_tasks(
    *,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    queue_names: str | Iterable[str] | None = None,
    limit: int | None = None,
    raise_failures: bool = True,
) -> list[TaskResult[..., Any]]:
    """
    Execute the runs that are ready or due, and those that these enqueue, until none is left or
    ``limit`` attempts were made. Return the result of each attempt, in order; a run that is retried
    at once is listed twice.

    Everything happens in this thread, on its database connections, and so also inside the
    transaction of a ``TestCase``. Retries, snoozes, expiry, cancellation, signals, logs, limits
    and pauses are the same as in a worker. Runs that are due later stay; see ``clock``.
    Unlike in a worker, tasks are never interrupted, so a ``timeout`` or a cancellation does not
    stop a running task; tasks for child processes are called here; and progress, messages and
    metadata are written at the end of the attempt.

    If a run finally fails, or its task cannot be imported, this is stored and the exception is
    raised here; the other runs stay enqueued. With ``raise_failures=False`` it is only in the
    result's ``errors``. KeyboardInterrupt is always raised.

    Raise NotImplementedError for a backend that does not store runs, and RuntimeError if, without a
    ``limit``, the runs do not come to an end.
    """
    runner = Runner(_database_backend(backend), _queues(queue_names))
    with runner.registered():
        for _ in range(MAX_ATTEMPTS if limit is None else limit):
            run = runner.claim()
            if run is None:
                break
            if error := _to_raise(runner.execute(run), raise_failures=raise_failures):
                raise error
        else:
            if limit is None:
                raise RuntimeError(
                    f"run_tasks() has made {MAX_ATTEMPTS:,} attempts, most recently of "
                    f"{runner.results[-1].task.module_path}. Do these runs enqueue each other "
                    "endlessly? Pass a limit to stop earlier."
                )
    return runner.results


class Runner(Subscriber):
    """A worker without pools, which executes one run at a time in the calling thread."""

    def __init__(self, backend: DatabaseBackend, queues: Queues) -> None:
        self.results: list[TaskResult[..., Any]] = []
        self._backend, self._queues = backend, queues
        self._store, self._id = store(backend.database), uuid4()
        self._paused: Paused = NOTHING
        events = RunEvents([ToInstruments(), RunLog(), RunSignals(type(backend)), self])
        self._ledger = Ledger(self._store, events, wake=lambda: None)

    @contextmanager
    def registered(self) -> Iterator[None]:
        """Be registered as a worker until the block ends; then release what is still claimed."""
        row = Worker(id=self._id, label=LABEL, hostname=platform.node(), pid=os.getpid())
        self._store.register(row)
        try:
            yield
        finally:
            self._ledger.give_back()
            self._store.leave(self._id)

    def claim(self) -> TaskRun | None:
        """
        Claim and return the run that a worker would execute first; None if there is none. Runs that
        have a limit come after the others. Those of paused tasks are set aside.
        """
        while (run := self._claim_one()) and (pause := self._paused.pause_of_task(run)):
            attempt = Attempt(run, LABEL)
            self._ledger.in_hand.take([attempt])
            self._ledger.settle(attempt, Parked(pause))
            self._ledger.record()
        return run

    def _claim_one(self) -> TaskRun | None:
        unblock_all(self._store)
        promote(self._store)
        alias = self._backend.alias
        for outlook in self._store.outlooks(alias):
            self._paused = outlook.paused
            queues = [name for name in outlook.queues if self._queues.takes(name)]
            for run in self._store.claim(self._id, alias, queues, ONE_OF_EACH, limit=1):
                return run
        return self._claim_limited() if outlook.has_limited else None

    def _claim_limited(self) -> TaskRun | None:
        for name in self._store.every_limited_name():
            line = Line(name.limit, name.backend, (name.queue,), name.executor)
            line = line.without(self._paused)
            is_ours = name.backend == self._backend.alias and self._queues.takes(name.queue)
            if is_ours and line.queues:
                for run in self._store.claim_limited(self._id, line, 1).runs:
                    return run
        return None

    def execute(self, run: TaskRun) -> Outcome:
        """Execute one attempt of the run, and store its outcome."""
        attempt = Attempt(run, LABEL)
        self._ledger.in_hand.take([attempt])
        self._ledger.in_hand.submitted([attempt])
        attempt.close_channel()  # progress is not written during the attempt, so do not wait for it
        attempt.finisher = self._store
        attempt.on_request = self._answer
        outcome = prepare(attempt) or self._start_and_execute(attempt)
        self._write_progress(attempt)
        self._ledger.settle(attempt, outcome)
        self._ledger.record()
        return attempt.outcome or outcome

    def _answer(self, attempt: Attempt, request: Request, answered: Callable[[Any], None]) -> None:
        """Answer at once what a task asks about its steps: nobody else would."""

        def answer() -> None:
            given = self._store.answer(attempt.run, request)
            answered(claim_lost(attempt.run.id) if given is None else given)

        if _is_on_event_loop():
            self._answering = asyncio.ensure_future(sync_to_async(answer)())
        else:
            answer()

    def _start_and_execute(self, attempt: Attempt) -> Outcome:
        if attempt.start_comes_first:
            attempt.count_start()
            attempt.start_written = bool(self._store.start([attempt.run]))
        return _executed(attempt, type(self._backend))

    def recorded(self, attempts: Attempts) -> None:
        not_attempts = Released | Parked
        self.results += [a.result() for a in attempts if not isinstance(a.outcome, not_attempts)]

    def _write_progress(self, attempt: Attempt) -> None:
        if columns := attempt.channel.take_changes():
            for name, value in columns.items():
                setattr(attempt.run, name, value)
            self._store.write_progress([attempt.run])


def _executed(attempt: Attempt, sender: type) -> Outcome:
    """Execute in a context of its own, as in a worker's thread."""
    return contextvars.Context().run(_executed_here, attempt, sender)


def _executed_here(attempt: Attempt, sender: type) -> Outcome:
    attempt.guard = guard = ThreadGuard()
    try:
        with as_without_transactions():
            return execute(attempt, guard, sender)
    except Exception as error:  # noqa: BLE001 - raised by an on_commit callback of the task
        return judge(attempt, error)


def _is_on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _to_raise(outcome: Outcome, *, raise_failures: bool) -> BaseException | None:
    match outcome:
        case Failed(exception) | Retried(exception) if isinstance(exception, KeyboardInterrupt):
            return exception  # Ctrl-C is meant for the tests, not for the task
        case Failed(exception) if raise_failures:
            return exception
        case Postponed(reason=reason) if raise_failures:
            return reason
    return None


def _database_backend(alias: str) -> DatabaseBackend:
    backend = task_backends[alias]
    if not isinstance(backend, DatabaseBackend):
        raise NotImplementedError(
            f"run_tasks() executes stored runs, but the backend {alias!r} "
            f"({type(backend).__name__}) does not store any. Use a DatabaseBackend in this test."
        )
    return backend


def _queues(names: str | Iterable[str] | None) -> Queues:
    match names:
        case None:
            return Queues()
        case str():
            return Queues((names,))
        case _:
            return Queues(tuple(names))
