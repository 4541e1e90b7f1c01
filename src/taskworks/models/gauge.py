"""``Gauge``: how much waited, and how busy workers were, in a period."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import NameField


class Gauge(models.Model):
    """
    What a worker has read of a queue twice a minute, added up over a period. The row without a
    queue is of all queues together; a queue in which nothing waited or ran has none, so an average
    is that of the ``samples`` in the row without a queue.

    Periods are counted in seconds of Unix time, by the database's clock.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    seconds = models.PositiveIntegerField()  # how long the period is
    since = models.BigIntegerField()  # when it began
    backend = NameField(max_length=64, default="")
    queue_name = NameField(max_length=128, default="")
    samples = models.PositiveIntegerField(default=0)

    # Ready runs: the sum of what the samples say, and the most.
    depth_sum = models.BigIntegerField(default=0)
    depth_max = models.BigIntegerField(default=0)
    # For how many seconds the oldest of them had waited, at most.
    oldest_max = models.FloatField(null=True)
    # Runs that workers had in hand.
    busy_sum = models.BigIntegerField(default=0)
    busy_max = models.BigIntegerField(default=0)
    # Slots of the living workers that take the queue.
    slots_sum = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("gauge")
        verbose_name_plural = _("gauges")
        indexes = (models.Index(name="taskworks_gauge_period", fields=["seconds", "since"]),)

    def __str__(self) -> str:
        return f"{self.queue_name or 'all queues'} in {self.seconds} s from {self.since}"
