"""The tables: runs, workers, schedules; what a run waits for, was asked by, or was fired by."""

from taskworks.models.edge import Edge
from taskworks.models.idempotency import IdempotencyKey
from taskworks.models.run import RunState, TaskRun
from taskworks.models.schedule import Firing, Kind, Overlap, Schedule
from taskworks.models.schedule_validation import FAR_FUTURE, HAS_NOT_RUN
from taskworks.models.worker import Worker

__all__ = [
    "FAR_FUTURE",
    "HAS_NOT_RUN",
    "Edge",
    "Firing",
    "IdempotencyKey",
    "Kind",
    "Overlap",
    "RunState",
    "Schedule",
    "TaskRun",
    "Worker",
]
