"""
The tables: runs, workers, schedules, pauses, limits and buckets, edges, workflows, unique keys,
firings, step records and events, statistics, gauges.
"""

from taskworks.installed import refuse_without_app

refuse_without_app()  # or Django would, in words about one of the classes

from taskworks.models.bucket import Bucket
from taskworks.models.dashboard import Dashboard
from taskworks.models.edge import Edge
from taskworks.models.failure import Failure, FailureGroup
from taskworks.models.firing import Firing
from taskworks.models.gauge import Gauge
from taskworks.models.limit import Limit
from taskworks.models.mark import Mark
from taskworks.models.pause import Pause
from taskworks.models.planning import FAR_FUTURE, HAS_NOT_RUN
from taskworks.models.run import RunState, TaskRun
from taskworks.models.schedule import Kind, Overlap, Schedule
from taskworks.models.statistic import Duty, Statistic
from taskworks.models.step import Event, StepRecord
from taskworks.models.unique_key import UniqueKey
from taskworks.models.worker import Worker
from taskworks.models.workflow import Step, Workflow

__all__ = [
    "FAR_FUTURE",
    "HAS_NOT_RUN",
    "Bucket",
    "Dashboard",
    "Duty",
    "Edge",
    "Event",
    "Failure",
    "FailureGroup",
    "Firing",
    "Gauge",
    "Kind",
    "Limit",
    "Mark",
    "Overlap",
    "Pause",
    "RunState",
    "Schedule",
    "Statistic",
    "Step",
    "StepRecord",
    "TaskRun",
    "UniqueKey",
    "Worker",
    "Workflow",
]
