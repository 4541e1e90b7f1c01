"""Two tenants with very different backlogs, and one worker."""

from datetime import datetime
from typing import NamedTuple

from django.db.models import Min

from sourcestats.processes import ManagedProcess, start_worker, stopped_at_the_end
from taskworks import Task, TaskResult, wait_for
from taskworks.control import clear
from taskworks.models import TaskRun

LOOK_INTERVAL = 1.0  # seconds between two looks at whether the worker is alive


class Race(NamedTuple):
    """When the few were done, and how many of the many were done before that."""

    seconds: float
    overtaken: int


def race(task: Task, many: int, few: int, deadline: float) -> Race:
    """Enqueue many imports of acme, and then a few of globex; wait until the few are done."""
    of_acme = task.enqueue_many(("acme", number) for number in range(many))
    of_globex = task.enqueue_many(("globex", number) for number in range(few))
    worker = start_worker(threads=4, verbosity=0)
    with stopped_at_the_end(worker):
        wait_for_all(worker, of_globex, deadline)
    clear("default")
    return measured(of_acme[0].id, [result.id for result in of_globex], task)


def wait_for_all(worker: ManagedProcess, results: list[TaskResult], deadline: float) -> None:
    for _ in range(int(deadline / LOOK_INTERVAL)):
        worker.must_be_alive()
        try:
            wait_for(results, timeout=LOOK_INTERVAL)
        except TimeoutError:
            continue
        return
    raise TimeoutError(f"The imports of globex were not done within {deadline:g} seconds.")


def measured(first_id: str, ids: list[str], task: Task) -> Race:
    runs = TaskRun.objects.filter(task_path=task.module_path, id__gte=first_id)
    last = max(TaskRun.objects.filter(id__in=ids).values_list("finished_at", flat=True))
    first: datetime = runs.aggregate(first=Min("started_at"))["first"]
    before = runs.successful().filter(finished_at__lte=last).exclude(id__in=ids)
    return Race((last - first).total_seconds(), before.count())
