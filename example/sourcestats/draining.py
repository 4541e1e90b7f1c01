"""Have a real worker process execute all runs of a survey."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from sourcestats.models import Survey
from sourcestats.processes import start_worker, stopped_at_the_end
from sourcestats.waiting import Deadline

Report = Callable[[int], None]


def drain(
    survey: Survey,
    *,
    threads: int,
    deadline: float,
    progress: AbstractContextManager[Report],
) -> int:
    """Stop the worker when the workflow has ended; return its exit code."""
    worker = start_worker(threads=threads, verbosity=0)
    until = Deadline(worker, deadline)
    with stopped_at_the_end(worker):
        workflow = survey.workflow()
        with progress as report:
            until.measured(workflow, report)
        until.ended(workflow)
        return worker.stop()
