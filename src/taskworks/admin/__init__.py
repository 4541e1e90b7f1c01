"""Runs, workflows, schedules, pauses and limits in Django's admin, and the way to the dashboard."""

from taskworks.admin.dashboard_admin import DashboardAdmin
from taskworks.admin.limit_admin import LimitAdmin
from taskworks.admin.pause_admin import PauseAdmin
from taskworks.admin.run_admin import TaskRunAdmin
from taskworks.admin.schedule_admin import ScheduleAdmin
from taskworks.admin.workflow_admin import WorkflowAdmin

__all__ = [
    "DashboardAdmin",
    "LimitAdmin",
    "PauseAdmin",
    "ScheduleAdmin",
    "TaskRunAdmin",
    "WorkflowAdmin",
]
