"""Let a real worker process do all the runs of a survey."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from sourcestats.models import Survey
from sourcestats.processes import start_worker, stopped_at_the_end
from sourcestats.surveying import ask_for_summary
from sourcestats.waiting import Watch

Report = Callable[[int], None]


def drain(
    survey: Survey,
    *,
    threads: int,
    deadline: float,
    progress: AbstractContextManager[Report],
) -> int:
    """Return the exit code of the worker, which is asked to stop when the summary is there."""
    worker = start_worker(threads=threads, verbosity=0)
    watch = Watch(worker, deadline)
    with stopped_at_the_end(worker):
        with progress as report:
            watch.until_measured(survey, report)
        ask_for_summary(survey)
        watch.until_summed_up(survey)
        return worker.stop()
