"""Wait for a survey, by reading its runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from sourcestats.models import Survey
from sourcestats.processes import ManagedProcess
from sourcestats.surveying import Progress, progress_of, summary_is_over

POLL_INTERVAL = 0.1  # seconds


class DeadlineError(Exception):
    """The deadline has passed."""


class Deadline:
    """Waits until the deadline at most, and only while the worker is alive."""

    def __init__(self, worker: ManagedProcess, seconds: float):
        self.worker = worker
        self.seconds = seconds
        self.deadline = time.monotonic() + seconds

    def measured(self, survey: Survey, report: Callable[[int], None]) -> Progress:
        while not (progress := progress_of(survey)).is_over:
            report(progress.finished)
            self.pause(f"only {progress.finished} of {progress.runs} modules were measured")
        report(progress.finished)
        return progress

    def summed_up(self, survey: Survey) -> None:
        while not summary_is_over(survey):
            self.pause("the summary was not finished")

    def pause(self, unfinished: str) -> None:
        self.worker.must_be_alive()
        if time.monotonic() > self.deadline:
            raise DeadlineError(f"After {self.seconds:g} seconds, {unfinished}.")
        time.sleep(POLL_INTERVAL)
