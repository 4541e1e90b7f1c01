"""Runs, schedules, pauses and limits in Django's admin."""

from taskworks.admin.limit_admin import LimitAdmin
from taskworks.admin.pause_admin import PauseAdmin
from taskworks.admin.run_admin import TaskRunAdmin
from taskworks.admin.schedule_admin import ScheduleAdmin

__all__ = ["LimitAdmin", "PauseAdmin", "ScheduleAdmin", "TaskRunAdmin"]
