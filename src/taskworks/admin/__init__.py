"""Runs and schedules in Django's admin."""

from taskworks.admin.run_admin import TaskRunAdmin
from taskworks.admin.schedule_admin import ScheduleAdmin

__all__ = ["ScheduleAdmin", "TaskRunAdmin"]
