"""``Edge``: a run waits for another, for a workflow, or for the end of a pause."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Edge(models.Model):
    """
    One run waits for another, or for a workflow, until that has succeeded or ended; or for the
    pause of its task, until that is not in force. The edge goes when it holds, and the run becomes
    ready when its last edge has gone. In a table of its own, so that runs that wait for none do not
    pay for it.

    Without foreign keys: what it waits for may be gone.
    """

    id = models.BigAutoField(primary_key=True)
    run = models.UUIDField()
    after = models.UUIDField(db_index=True)  # a run, a workflow, or a pause
    # True if the other need not succeed, but only end.
    any_end = models.BooleanField(default=False)
    # True if the other has to end without success. If it succeeds, the run is not needed.
    only_failed = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("edge")
        verbose_name_plural = _("edges")
        constraints = (
            models.UniqueConstraint(fields=["run", "after"], name="taskworks_edge_once"),
        )

    def __str__(self) -> str:
        return f"{self.run} after {self.after}"
