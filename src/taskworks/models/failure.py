"""``FailureGroup``: failures that are one error; ``Failure``: to which group a run belongs."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.clock import DatabaseClock
from taskworks.database.fields import NameField


class FailureGroupQuerySet(models.QuerySet["FailureGroup"]):
    def unmuted(self) -> "FailureGroupQuerySet":
        """Those that are not muted now."""
        return self.filter(models.Q(muted_until=None) | models.Q(muted_until__lte=DatabaseClock()))


class FailureGroup(models.Model):
    """
    Runs of one task that have failed for good with the same exception in the same place. Workers
    write it within a minute; people only mute it and write notes, with ``taskworks.control``.
    """

    # A digest of the next three.
    fingerprint = models.CharField(_("fingerprint"), max_length=16, primary_key=True)
    task_path = NameField(_("task"), max_length=512)
    exception = NameField(_("exception"), max_length=512)
    # The innermost frame of the project's own, as file:function.
    place = NameField(_("place"), max_length=512)
    # Of the latest one.
    message = models.CharField(_("message"), max_length=1000, default="")
    sample = models.UUIDField(_("sample"))
    first_at = models.DateTimeField(_("first seen"))
    last_at = models.DateTimeField(_("last seen"), db_index=True)
    first_release = models.CharField(_("first release"), max_length=200, default="")
    last_release = models.CharField(_("last release"), max_length=200, default="")
    count = models.BigIntegerField(_("count"), default=0)
    muted_until = models.DateTimeField(_("muted until"), null=True, blank=True)
    note = models.TextField(_("note"), default="", blank=True)

    objects = FailureGroupQuerySet.as_manager()

    class Meta:
        verbose_name = _("failure group")
        verbose_name_plural = _("failure groups")

    def __str__(self) -> str:
        return f"{self.exception} in {self.task_path}"


class Failure(models.Model):
    """The latest final failure of a run, with its group. It is deleted with the run."""

    run = models.UUIDField(primary_key=True)
    fingerprint = models.CharField(max_length=16)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("failure")
        verbose_name_plural = _("failures")
        indexes = (
            models.Index(name="taskworks_failure_group", fields=["fingerprint", "at", "run"]),
        )

    def __str__(self) -> str:
        return f"{self.run} of {self.fingerprint}"
