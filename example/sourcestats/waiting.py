"""Wait for a survey, by reading its workflow."""

from __future__ import annotations

import time
from collections.abc import Callable

from sourcestats.processes import ManagedProcess
from sourcestats.surveying import Progress, progress_of
from taskworks import WorkflowResult

POLL_INTERVAL = 0.1  # seconds


class DeadlineError(Exception):
    """The deadline has passed."""


class Deadline:
    """Waits until the deadline at most, and only while the worker is alive."""

    def __init__(self, worker: ManagedProcess, seconds: float):
        self.worker = worker
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds

    def measured(self, workflow: WorkflowResult, report: Callable[[int], None]) -> Progress:
        while not (progress := progress_of(workflow)).is_over:
            report(progress.finished)
            self.pause(f"only {progress.finished} of {progress.modules} modules were measured")
        report(progress.finished)
        return progress

    def ended(self, workflow: WorkflowResult) -> None:
        while not workflow.is_finished:
            self.pause("the workflow had not ended")
            workflow.refresh()

    def pause(self, unfinished: str) -> None:
        self.worker.must_be_alive()
        if time.monotonic() > self.deadline:
            raise DeadlineError(f"After {self.seconds:g} seconds, {unfinished}.")
        time.sleep(POLL_INTERVAL)
