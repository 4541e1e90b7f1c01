"""``Statistic``: what became of a task's runs in a period; ``Duty``: what workers take turns in."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import NameField

OTHERS = "(others)"  # in place of the names of what is not told apart
EVER, TEN_SECONDS, MINUTE, TEN_MINUTES, HOUR = 0, 10, 60, 600, 3600
# What a row is about: a task in a queue, a queue, or everything. The totals of all time have tasks
# alone; all other periods have all three, so who adds up rows chooses one.
OF_SERIES, OF_QUEUE, OF_EVERYTHING = 0, 1, 2

# How many attempts, or runs, had which outcome. Each has a column.
COUNTS = (
    "attempts",  # that began
    "successful",
    "failed",
    "cancelled",
    "retried",
    "snoozed",
    "postponed",
    "crashed",
    "released",
    "lost",  # of those failed
    "timed_out",  # of those failed or retried
    "rescued",
)


class Statistic(models.Model):
    """
    What became of the runs of a task in a period. Workers insert rows of ten seconds under their
    own ids; compaction adds these to the rows of longer periods and to the totals of all time, and
    deletes them. So the totals plus all rows of ten seconds are the counts of now.

    Beside the rows of tasks, periods have those of queues and of everything: a chart of a week
    would read each task's rows otherwise. They are counted, compacted and read in the same way.

    Periods are counted in seconds of Unix time, by the database's clock.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    # How long the period is; 0 for all time.
    seconds = models.PositiveIntegerField()
    # When it began; 0 for all time.
    since = models.BigIntegerField()
    level = models.PositiveSmallIntegerField(default=OF_SERIES)
    backend = NameField(max_length=64)
    queue_name = NameField(max_length=128)
    # The path of what is called, or OTHERS; "" of a queue; of everything, the two above are, too.
    task_path = NameField(max_length=512)
    # Who has written it; None once it is compacted.
    worker = models.UUIDField(null=True)

    attempts = models.BigIntegerField(default=0)
    successful = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    retried = models.BigIntegerField(default=0)
    snoozed = models.BigIntegerField(default=0)
    postponed = models.BigIntegerField(default=0)
    crashed = models.BigIntegerField(default=0)
    released = models.BigIntegerField(default=0)
    lost = models.BigIntegerField(default=0)
    timed_out = models.BigIntegerField(default=0)
    rescued = models.BigIntegerField(default=0)

    # Seconds: from when a run was ready until its attempt began, and from then until it ended.
    wait_sum = models.FloatField(default=0.0)
    run_sum = models.FloatField(default=0.0)
    run_max = models.FloatField(null=True)
    # The same as histograms.
    waits = models.TextField(default="")
    runs = models.TextField(default="")

    class Meta:
        verbose_name = _("statistic")
        verbose_name_plural = _("statistics")
        indexes = (
            models.Index(name="taskworks_statistic_period", fields=["seconds", "level", "since"]),
        )

    def __str__(self) -> str:
        return f"{self.task_path} of {self.queue_name} in {self.seconds} s from {self.since}"


class Duty(models.Model):
    """Something that one worker at a time does for all, and when it was last begun."""

    name = NameField(max_length=64, primary_key=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("duty")
        verbose_name_plural = _("duties")

    def __str__(self) -> str:
        return self.name
