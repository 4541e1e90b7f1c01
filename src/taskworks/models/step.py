"""``StepRecord`` and ``Event``: what a run has done so far, and what others have sent to it."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import JSONTextField, NameField
from taskworks.models import readable
from taskworks.steps.names import MAX_STEP_NAME
from taskworks.steps.requests import RecordKind


class StepRecord(models.Model):
    """
    A step of a run that is not to be repeated, or a sleep. It goes with its run, and is only read
    by attempts of that run. In a table of its own, so that runs without steps do not pay for it.

    Without a foreign key: pruning deletes runs without asking Django.
    """

    pk = models.CompositePrimaryKey("run", "name")
    run = models.UUIDField()
    name = NameField(max_length=MAX_STEP_NAME)
    kind = models.CharField(max_length=8, choices=[(kind.value, kind.value) for kind in RecordKind])
    value = JSONTextField(null=True, holds=readable.anything)
    ended_at = models.DateTimeField()  # of a sleep: when it is over

    class Meta:
        verbose_name = _("step record")
        verbose_name_plural = _("step records")

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of {self.run}"


class Event(models.Model):
    """
    What a run waits for, or has waited for, or will wait for: one row, whoever comes first. A wait
    inserts it open, and a sender ends it; or a sender inserts it, and a later wait finds it. An end
    is never changed. So a row says which of a sender and a timeout was first.
    """

    pk = models.CompositePrimaryKey("run", "name")
    run = models.UUIDField()
    name = NameField(max_length=MAX_STEP_NAME)
    until = models.DateTimeField(null=True)  # when the wait times out; None: never, or no wait yet
    ended_at = models.DateTimeField(null=True)  # when it was sent or had timed out
    is_sent = models.BooleanField(default=False)
    value = JSONTextField(null=True, holds=readable.anything)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")

    def __str__(self) -> str:
        return f"{self.name} of {self.run}"
