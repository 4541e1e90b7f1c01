"""Receivers of signals about schedules: importing this module connects them."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from taskworks.models import Schedule
from taskworks.store import store


@receiver(post_save, sender=Schedule, dispatch_uid="taskworks.schedules")
def notify_schedulers(instance: Schedule, using: str, **kwargs: Any) -> None:
    """Notify workers of a schedule that was saved, if the database can."""
    if instance.enabled:
        store(using).notify_schedulers()
