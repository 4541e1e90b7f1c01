"""The tables: one row a run, one row a running worker."""

from taskworks.models.run import RunState, TaskRun
from taskworks.models.worker import Worker

__all__ = ["RunState", "TaskRun", "Worker"]
