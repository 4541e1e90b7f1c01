"""Execute what is queued in the thread of a test."""

import contextvars
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from taskworks.backends.database import DatabaseBackend
from taskworks.duties.promote import promote
from taskworks.duties.unblock import unblock_all
from taskworks.execution import (
    Attempt,
    Failed,
    Outcome,
    Postponed,
    Released,
    Retried,
    ThreadGuard,
    execute,
    judge,
    prepare,
)
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS, task_backends
from taskworks.models import TaskRun, Worker
from taskworks.options.policy import LANES
from taskworks.recording.events import Attempts, RunEvents, Subscriber
from taskworks.recording.ledger import Ledger
from taskworks.recording.subscribers import RunLog, RunSignals
from taskworks.result import TaskResult
from taskworks.store import store
from taskworks.testing.transactions import as_without_transactions
from taskworks.worker.claiming.queues import Queues

LABEL = "run_tasks"
MOST = 10_000  # attempts, after which the queue is thought to be endless
ONE_OF_EACH = dict.fromkeys(LANES, 1)


def run_tasks(
    *,
    backend: str = DEFAULT_TASK_BACKEND_ALIAS,
    queue_names: str | Iterable[str] | None = None,
    limit: int | None = None,
    raise_failures: bool = True,
) -> list[TaskResult[..., Any]]:
    """
    Execute the runs that are ready or due, then those that these enqueue, until none is left or
    ``limit`` attempts are made. Return the result of each attempt, in the order in which they were
    made; a run that is retried at once is in it twice.

    All happens in this thread and on its connections, so inside the transaction of a ``TestCase``
    too. Retries, snoozes, expiry, cancellation, signals and log are a worker's; what waits for a
    later time stays, see ``clock``. Not as in a worker: nothing interrupts a task, so a ``timeout``
    or a cancellation does not stop it; a task for child processes is called here; progress,
    messages and metadata are written when the attempt has ended.

    An exception that fails a run for good, or for which its task cannot be imported, is raised
    here once it is stored, and the other runs stay queued: a test should not go on as if all was
    well. With ``raise_failures=False`` it is in the result's ``errors`` only. KeyboardInterrupt is
    always raised.

    Raise NotImplementedError for a backend that stores no runs, and RuntimeError if, without a
    ``limit``, there is no end.
    """
    runner = Runner(_database_backend(backend), _queues(queue_names))
    with runner.at_work():
        for _ in range(MOST if limit is None else limit):
            run = runner.claim()
            if run is None:
                break
            if error := _to_raise(runner.execute(run), raise_failures=raise_failures):
                raise error
        else:
            if limit is None:
                raise RuntimeError(
                    f"run_tasks() has made {MOST:,} attempts, the latest at a run of "
                    f"{runner.results[-1].task.module_path}: do the runs enqueue each other "
                    "without end? Give a limit to stop earlier."
                )
    return runner.results


class Runner(Subscriber):
    """A worker without pools: takes one run at a time, and executes it where it is called."""

    def __init__(self, backend: DatabaseBackend, queues: Queues) -> None:
        self.results: list[TaskResult[..., Any]] = []
        self._backend, self._queues = backend, queues
        self._store, self._id = store(), uuid4()
        events = RunEvents([RunLog(), RunSignals(type(backend)), self])
        self._ledger = Ledger(self._store, events, wake=lambda: None)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Be a worker that lives; whatever happens, leave no run in its hands."""
        row = Worker(id=self._id, label=LABEL, hostname=platform.node(), pid=os.getpid())
        self._store.register(row)
        try:
            yield
        finally:
            self._ledger.give_back()
            self._store.leave(self._id)

    def claim(self) -> TaskRun | None:
        """The run that a worker would take first, if there is one."""
        unblock_all(self._store)
        promote(self._store)
        alias = self._backend.alias
        queues = [name for name in self._store.ready_queues(alias) if self._queues.takes(name)]
        if not queues:
            return None
        runs = self._store.claim(self._id, alias, queues, ONE_OF_EACH, limit=1)
        return runs[0] if runs else None

    def execute(self, run: TaskRun) -> Outcome:
        """Make an attempt at the run, and store what becomes of it."""
        attempt = Attempt(run, LABEL)
        self._ledger.take(attempt)
        self._ledger.submitted([attempt])
        attempt.close_channel()  # nobody writes meanwhile, so nobody is to wait for that
        attempt.finisher = self._store
        outcome = prepare(attempt) or self._begun(attempt)
        self._write_told(attempt)
        self._ledger.settle(attempt, outcome)
        self._ledger.record()
        return attempt.outcome or outcome

    def _begun(self, attempt: Attempt) -> Outcome:
        if attempt.start_comes_first:
            attempt.count_start()
            attempt.start_written = bool(self._store.start([attempt.run]))
        return _executed(attempt, type(self._backend))

    def settled(self, attempts: Attempts) -> None:
        self.results += [a.result() for a in attempts if not isinstance(a.outcome, Released)]

    def _write_told(self, attempt: Attempt) -> None:
        if columns := attempt.channel.take():
            for name, value in columns.items():
                setattr(attempt.run, name, value)
            self._store.write_progress([attempt.run])


def _executed(attempt: Attempt, sender: type) -> Outcome:
    """In a context of its own, as in a worker's thread."""
    return contextvars.Context().run(_executed_here, attempt, sender)


def _executed_here(attempt: Attempt, sender: type) -> Outcome:
    attempt.guard = guard = ThreadGuard()
    try:
        with as_without_transactions():
            return execute(attempt, guard, sender)
    except Exception as error:  # noqa: BLE001 - what was called on commit belongs to the task
        return judge(attempt, error)


def _to_raise(outcome: Outcome, *, raise_failures: bool) -> BaseException | None:
    match outcome:
        case Failed(exception) | Retried(exception) if isinstance(exception, KeyboardInterrupt):
            return exception  # who pressed the keys means the tests, not the task
        case Failed(exception) if raise_failures:
            return exception
        case Postponed(reason=reason) if raise_failures:
            return reason
    return None


def _database_backend(alias: str) -> DatabaseBackend:
    backend = task_backends[alias]
    if not isinstance(backend, DatabaseBackend):
        raise NotImplementedError(
            f"run_tasks() executes runs that are stored, and the backend {alias!r}, a "
            f"{type(backend).__name__}, stores none: use a DatabaseBackend in this test."
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
