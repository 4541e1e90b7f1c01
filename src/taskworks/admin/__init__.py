"""Runs, schedules and pauses in Django's admin."""

from taskworks.admin.pause_admin import PauseAdmin
from taskworks.admin.run_admin import TaskRunAdmin
from taskworks.admin.schedule_admin import ScheduleAdmin

__all__ = ["PauseAdmin", "ScheduleAdmin", "TaskRunAdmin"]
