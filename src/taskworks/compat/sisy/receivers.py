"""Fires a schedule that sisy's shortcuts have made to run at once."""

from typing import Any

from django.dispatch import receiver

from taskworks.compat.sisy.schedule import wanted_at_once
from taskworks.models import Schedule
from taskworks.schedules.firing import fire


@receiver(wanted_at_once, dispatch_uid="taskworks.compat.sisy")
def fire_at_once(schedule: Schedule, using: str, **kwargs: Any) -> None:
    """Fire it in the caller's transaction."""
    if fire(schedule.pk, using):
        schedule.refresh_from_db(using=using)
