"""What happens to schedules by signals: importing this connects the receivers."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from taskworks.models import Schedule
from taskworks.store import store


@receiver(post_save, sender=Schedule, dispatch_uid="taskworks.schedules")
def notify_schedulers(instance: Schedule, using: str, **kwargs: Any) -> None:
    """Have workers look at once at a schedule that was saved, where the database can tell them."""
    if instance.enabled:
        store(using).notify_schedulers()
