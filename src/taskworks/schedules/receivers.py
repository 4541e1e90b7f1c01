"""What happens to schedules by signals: importing this connects the receivers."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from taskworks.compat.sisy import wanted_at_once
from taskworks.models import Schedule
from taskworks.schedules.firing import fire
from taskworks.store import store


@receiver(post_save, sender=Schedule, dispatch_uid="taskworks.schedules")
def notify_schedulers(instance: Schedule, using: str, **kwargs: Any) -> None:
    """Have workers look at once at a schedule that was saved, where the database can tell them."""
    if instance.enabled:
        store(using).notify_schedulers()


@receiver(wanted_at_once, dispatch_uid="taskworks.schedules")
def fire_at_once(schedule: Schedule, using: str, **kwargs: Any) -> None:
    """Fire a schedule that was just saved, in the caller's transaction."""
    if fire(schedule.pk):
        schedule.refresh_from_db(using=using)
