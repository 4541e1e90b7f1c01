"""What is wrong, with what to do; the overview begins with it. Asked for all pages of a process."""

from typing import NamedTuple

from django.http import HttpRequest

from taskworks.dashboard.page_addresses import address
from taskworks.dashboard.shared import Shared
from taskworks.dashboard.snapshot import made_of_it, snapshot
from taskworks.problems import Findings, Problem, Severity, look
from taskworks.problems.situation import Situation
from taskworks.store import store

KEPT_FOR = 10.0  # seconds: some rules read more than a page does
PATIENCE = 1.0  # seconds to wait for another thread that asks a database whose page this is not
# The page that shows what a problem is about.
PAGES = {
    "queue_without_worker": "queues",
    "oldest_beyond_objective": "queues",
    "objective_missed": "queues",
    "paused": "queues",
    "silent_worker": "workers",
    "worker_of_another_release": "workers",
    "pool_too_small": "workers",
    "schedule_late": "schedules",
    "schedule_unable": "schedules",
    "failing_task": "failures",
    "poison": "failures",
}


class Shown(NamedTuple):
    """A problem as the overview shows it."""

    problem: Problem
    address: str  # of the page that shows what it is about; "" for none

    @property
    def is_critical(self) -> bool:
        return self.problem.severity is Severity.CRITICAL

    @property
    def is_warning(self) -> bool:
        return self.problem.severity is Severity.WARNING


def problems(request: HttpRequest) -> list[Shown]:
    """Return what is wrong now, the worst first."""
    return [
        Shown(one, address(request, PAGES[one.id]) if one.id in PAGES else "")
        for one in _findings.get().problems
    ]


def findings() -> Findings:
    """
    Return what is wrong with the database that is meant; raise TimeoutError if another thread has
    been asking it for longer than PATIENCE.
    """
    return _findings.get(patience=PATIENCE)


def unknown() -> list[str]:
    """Return what could not be found out, in sentences."""
    return [one.sentence for one in _findings.get().unknown]


def _look() -> Findings:
    now, situation = snapshot(), Situation(store())
    if now.at.value is not None:
        situation.now = now.at.value
    if now.survey.value is not None:
        situation.queues = now.survey.value
    if now.workers.value is not None:
        situation.workers = now.workers.value
    return look(store(), situation=situation)


_findings = made_of_it(Shared(_look, KEPT_FOR))
