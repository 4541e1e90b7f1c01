"""``Firing``: that a schedule has fired for a planned time."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.models.schedule import Schedule
from taskworks.sentences import moment_in_words


class Firing(models.Model):
    """A planned time for which a schedule has fired, and the run that it enqueued."""

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(
        Schedule, on_delete=models.CASCADE, related_name="firings", verbose_name=_("schedule")
    )
    planned_at = models.DateTimeField(_("planned at"))
    fired_at = models.DateTimeField(_("fired at"))
    # Not a foreign key, because the run may be pruned before. NULL if the run is not a row.
    run = models.UUIDField(_("run"), null=True, db_index=True)

    class Meta:
        verbose_name = _("firing")
        verbose_name_plural = _("firings")
        constraints = (
            models.UniqueConstraint(
                name="taskworks_firing_once", fields=["schedule", "planned_at"]
            ),
        )

    def __str__(self) -> str:
        return f"{self.schedule_id} at {moment_in_words(self.planned_at)}"
