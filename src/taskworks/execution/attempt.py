"""One attempt at a run: the run, its task, and the times and counts that change with it."""

import time
from copy import copy, deepcopy
from datetime import datetime, timedelta
from typing import Any

from taskworks.execution.outcome import Failed, Outcome, Succeeded
from taskworks.framework import Task, TaskContext, TaskResult
from taskworks.models import RunState, TaskRun


class Attempt:
    """
    A claimed run in a worker's hands. ``begin`` and ``end`` change the run in memory; whoever
    owns the attempt writes it.

    Times are the database's: its time of the claim, plus what this process has measured since.
    """

    def __init__(self, run: TaskRun, worker_id: str) -> None:
        self.run = run
        self.worker_id = worker_id
        self.begun = False
        self.start_written = False
        self.outcome: Outcome | None = None
        self._claimed = time.monotonic()
        self._before = {
            name: getattr(run, name)
            for name in (
                "attempts",
                "worker_ids",
                "started_at",
                "last_attempted_at",
                "missing_since",
            )
        }
        self.task: Task  # prepare() finds it

    def begin(self) -> None:
        """The first line is about to run."""
        run = self.run
        run.last_attempted_at = self.now()
        run.started_at = run.started_at or run.last_attempted_at
        run.attempts += 1
        run.worker_ids = [*run.worker_ids, self.worker_id]
        run.missing_since = None
        run.state = RunState.RUNNING.value
        self.begun = True

    def end(self, outcome: Outcome) -> None:
        """Turn the run into what the outcome makes of it."""
        self.outcome = outcome
        match outcome:
            case Succeeded(return_value):
                self.run.state = RunState.SUCCESSFUL.value
                self.run.return_value = return_value
                self.run.finished_at = self.now()
            case Failed(_, entry):
                self.run.state = RunState.FAILED.value
                self.run.errors = [*self.run.errors, self._error(entry)]
                self.run.finished_at = self.now()

    def undone(self) -> TaskRun:
        """The run as it was before it was claimed; a copy, for it may be executing still."""
        run = copy(self.run)
        for name, value in self._before.items():
            setattr(run, name, value)
        run.state = RunState.READY.value
        return run

    def now(self) -> datetime:
        """The database's time."""
        claimed_at = self.run.claimed_at
        assert claimed_at is not None, "an attempt is made of a claimed run"  # noqa: S101
        return claimed_at + timedelta(seconds=self.age)

    @property
    def age(self) -> float:
        """Seconds since the claim."""
        return time.monotonic() - self._claimed

    @property
    def duration(self) -> timedelta:
        """How long the attempt took, or has taken."""
        end = self.run.finished_at or self.now()
        return end - self.run.last_attempted_at if self.run.last_attempted_at else timedelta()

    def result(self) -> TaskResult:
        """A snapshot of the run as it is now."""
        return self.run.to_result(self.task)

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """What the task's function is called with, its own to change."""
        run = self.run
        if not self.task.takes_context:
            return deepcopy(run.args), deepcopy(run.kwargs)
        return [TaskContext(task_result=self.result()), *deepcopy(run.args)], deepcopy(run.kwargs)

    def _error(self, entry: dict[str, str]) -> dict[str, Any]:
        return {
            "attempt": self.run.attempts,
            "at": self.now().isoformat(),
            "worker_id": self.worker_id,
            **entry,
        }
