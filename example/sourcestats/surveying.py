"""The steps of a survey: start it, follow it, enqueue the summary, read the results."""

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.db import transaction

from sourcestats.models import Module, Survey
from sourcestats.summing import Summary
from sourcestats.tasks import measure_module, sum_up
from taskworks.models import TaskRun


@dataclass(frozen=True)
class Progress:
    modules: int
    runs: int
    successful: int
    failed: int

    @property
    def finished(self) -> int:
        return self.successful + self.failed

    @property
    def is_over(self) -> bool:
        return self.finished == self.runs


@dataclass(frozen=True)
class Failure:
    path: str
    traceback: str

    @property
    def reason(self) -> str:
        return self.traceback.strip().rpartition("\n")[2]


def start(source: Path) -> Survey:
    """Enqueue one run per module in one transaction, so that all exist or none."""
    with transaction.atomic():
        survey = Survey.objects.create(source=str(source))
        Module.objects.bulk_create([enqueued(survey, path) for path in module_paths(source)])
    return survey


def module_paths(source: Path) -> list[str]:
    return sorted(str(path.relative_to(source)) for path in source.rglob("*.py") if path.is_file())


def enqueued(survey: Survey, path: str) -> Module:
    result = measure_module.enqueue(source=survey.source, path=path)
    return Module(survey=survey, path=path, run_id=UUID(result.id))


def progress_of(survey: Survey) -> Progress:
    runs = survey.runs()
    return Progress(
        modules=survey.modules.count(),
        runs=runs.count(),
        successful=runs.successful().count(),
        failed=runs.failed().count(),
    )


def enqueue_summary(survey: Survey) -> None:
    """Enqueue the last run, unless it was enqueued before."""
    with transaction.atomic():
        current = Survey.objects.select_for_update().get(pk=survey.pk)
        if current.summary_run_id is None:
            current.summary_run_id = UUID(sum_up.enqueue(survey.pk).id)
            current.save(update_fields=["summary_run_id"])
    survey.summary_run_id = current.summary_run_id


def summary_is_over(survey: Survey) -> bool:
    return survey.summary_runs().finished().exists()


def summary_of(survey: Survey) -> Summary | None:
    run = survey.summary_runs().successful().first()
    return run.return_value if run else None


def failures_of(survey: Survey) -> list[Failure]:
    failures = [failure_of(run, run.kwargs["path"]) for run in survey.runs().failed()]
    return sorted(failures, key=lambda failure: failure.path)


def summary_failure_of(survey: Survey) -> Failure | None:
    run = survey.summary_runs().failed().first()
    return failure_of(run, "the summary") if run else None


def failure_of(run: TaskRun, path: str) -> Failure:
    traceback = run.errors[-1]["traceback"] if run.errors else str(run)
    return Failure(path=path, traceback=traceback)
