from pathlib import Path

from sourcestats.measuring import ModuleMeasure, measure
from sourcestats.summing import Summary, summarize
from taskworks import Limit, TaskContext, task


@task
def measure_module(source: str, path: str) -> ModuleMeasure:
    return measure(Path(source, path).read_bytes(), path)


# A person is waiting for the sum, so it comes before the modules of the next survey.
@task(priority=10, takes_context=True)
def sum_up(context: TaskContext) -> Summary:
    """Add up what the runs of the group have returned, of those that succeeded."""
    return summarize([*context.workflow.results("modules")])


@task
def import_row(tenant: str, number: int) -> int:
    return number


# Each tenant has its turn, whatever the other one has enqueued.
@task(limit=Limit("imports", by="tenant", at_once=2))
def import_in_turn(tenant: str, number: int) -> int:
    return number
