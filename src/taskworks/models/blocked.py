"""``BlockedRun``: what a run waits for that is to follow another."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class BlockedRun(models.Model):
    """
    That a run waits until another has succeeded, or has ended: a row beside the run's own, which
    goes when the run is ready. In a table of its own, so that runs that wait for none do not pay
    for it.

    Without foreign keys: the run that it waits for may be pruned.
    """

    run = models.UUIDField(primary_key=True, editable=False)
    after = models.UUIDField(db_index=True)
    # Whether the other need not have succeeded.
    any_end = models.BooleanField(default=False)
    # Seconds that it waits from then on, and that it may wait for a worker after these.
    delay = models.FloatField(default=0.0)
    expires = models.FloatField(null=True)

    class Meta:
        verbose_name = _("blocked run")
        verbose_name_plural = _("blocked runs")

    def __str__(self) -> str:
        return f"{self.run} after {self.after}"
