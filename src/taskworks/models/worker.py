"""``Worker``: one row per running worker process, with its latest heartbeat."""

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _


class WorkerQuerySet(models.QuerySet["Worker"]):
    def living(self) -> "WorkerQuerySet":
        """Those that were not given up."""
        return self.filter(given_up_at=None)


class Worker(models.Model):
    """
    A worker process. Each start makes a row, which is deleted when the process stops in order. A
    worker that was given up is never taken back.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Its name for people; not unique.
    label = models.CharField(max_length=64)
    hostname = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()
    given_up_at = models.DateTimeField(null=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return f"{self.label} ({self.hostname}, pid {self.pid})"
