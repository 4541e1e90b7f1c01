"""The outcome of a demo, compared with a count that is made without tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sourcestats import surveying
from sourcestats.counting import DirectCount, count_directly
from sourcestats.models import Survey
from sourcestats.summing import Summary, summarize
from sourcestats.surveying import Failure, Progress
from taskworks import WorkflowResult


@dataclass(frozen=True)
class Outcome:
    progress: Progress
    summary: Summary
    failures: list[Failure]
    seconds: float
    problems: list[str]


def outcome_of(survey: Survey, *, worker_exit_code: int, seconds: float) -> Outcome:
    workflow = survey.workflow()
    progress = surveying.progress_of(workflow)
    summary = surveying.summary_of(workflow)
    problems = [
        *problems_of_worker(worker_exit_code),
        *problems_of_summary(workflow),
        *differences(progress, summary or summarize([]), count_directly(Path(survey.source))),
    ]
    return Outcome(
        progress=progress,
        summary=summary or summarize([]),
        failures=surveying.failures_of(workflow),
        seconds=seconds,
        problems=problems,
    )


def problems_of_worker(exit_code: int) -> Iterator[str]:
    if exit_code:
        yield f"The worker did not stop cleanly: its exit code is {exit_code}."


def problems_of_summary(workflow: WorkflowResult) -> Iterator[str]:
    if failure := surveying.summary_failure_of(workflow):
        yield f"The summary failed: {failure.reason}"


def differences(progress: Progress, summary: Summary, direct: DirectCount) -> Iterator[str]:
    comparisons = [
        ("modules", progress.modules, direct.modules),
        ("failed modules", progress.failed, direct.unparseable),
        ("measured modules", summary["modules"], direct.modules - direct.unparseable),
        ("functions", summary["functions"], direct.functions),
    ]
    for noun, found, expected in comparisons:
        if found != expected:
            yield f"The survey found {found} {noun}, but the direct count found {expected}."
