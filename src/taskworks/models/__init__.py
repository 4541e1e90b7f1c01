"""The tables: runs, workers, schedules, pauses and limits, statistics, and what belongs to them."""

from taskworks.installed import refuse_without_app

refuse_without_app()  # or Django would, in words about one of the classes

from taskworks.models.edge import Edge
from taskworks.models.failure import Failure, FailureGroup
from taskworks.models.firing import Firing
from taskworks.models.limit import Limit
from taskworks.models.mark import Mark
from taskworks.models.pause import Pause
from taskworks.models.planning import FAR_FUTURE, HAS_NOT_RUN
from taskworks.models.run import RunState, TaskRun
from taskworks.models.schedule import Kind, Overlap, Schedule
from taskworks.models.statistic import Duty, Statistic
from taskworks.models.unique_key import UniqueKey
from taskworks.models.worker import Worker

__all__ = [
    "FAR_FUTURE",
    "HAS_NOT_RUN",
    "Duty",
    "Edge",
    "Failure",
    "FailureGroup",
    "Firing",
    "Kind",
    "Limit",
    "Mark",
    "Overlap",
    "Pause",
    "RunState",
    "Schedule",
    "Statistic",
    "TaskRun",
    "UniqueKey",
    "Worker",
]
