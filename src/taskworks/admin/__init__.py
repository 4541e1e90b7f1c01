"""Runs, workflows, schedules, pauses and limits in Django's admin."""

from taskworks.admin.limit_admin import LimitAdmin
from taskworks.admin.pause_admin import PauseAdmin
from taskworks.admin.run_admin import TaskRunAdmin
from taskworks.admin.schedule_admin import ScheduleAdmin
from taskworks.admin.workflow_admin import WorkflowAdmin

__all__ = ["LimitAdmin", "PauseAdmin", "ScheduleAdmin", "TaskRunAdmin", "WorkflowAdmin"]
