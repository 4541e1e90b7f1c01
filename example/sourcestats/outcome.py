"""What came of a demo, and whether its sums are those of a count made without any task."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sourcestats import surveying
from sourcestats.counting import DirectCount, count_directly
from sourcestats.models import Survey
from sourcestats.summing import Summary, summarise
from sourcestats.surveying import Failure, Progress


@dataclass(frozen=True)
class Outcome:
    progress: Progress
    summary: Summary
    failures: list[Failure]
    seconds: float
    complaints: list[str]


def outcome_of(survey: Survey, *, worker_exit_code: int, seconds: float) -> Outcome:
    progress = surveying.progress_of(survey)
    summary = surveying.summary_of(survey)
    complaints = [
        *complaints_about_worker(worker_exit_code),
        *complaints_about_summary(survey),
        *disagreements(progress, summary or summarise([]), count_directly(Path(survey.source))),
    ]
    return Outcome(
        progress=progress,
        summary=summary or summarise([]),
        failures=surveying.failures_of(survey),
        seconds=seconds,
        complaints=complaints,
    )


def complaints_about_worker(exit_code: int) -> Iterator[str]:
    if exit_code:
        yield f"The worker, asked to stop, ended with exit code {exit_code}."


def complaints_about_summary(survey: Survey) -> Iterator[str]:
    if failure := surveying.summary_failure_of(survey):
        yield f"The summary failed: {failure.reason}"


def disagreements(progress: Progress, summary: Summary, direct: DirectCount) -> Iterator[str]:
    comparisons = [
        ("modules", progress.modules, direct.modules),
        ("runs of modules", progress.runs, direct.modules),
        ("failed modules", progress.failed, direct.unparseable),
        ("measured modules", summary["modules"], direct.modules - direct.unparseable),
        ("functions", summary["functions"], direct.functions),
    ]
    for noun, found, expected in comparisons:
        if found != expected:
            yield f"The survey found {found} {noun}, the direct count {expected}."
