"""``UniqueKey``: that a run stands for a key, and which one."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class UniqueKey(models.Model):
    """
    A key under which a run was enqueued: what its task is unique by, or the idempotency key of a
    request. It goes when the run is pruned. In a table of its own, so that runs without a key do
    not pay for it.

    Whether the run still holds the key is not written here: its state says so. So no change of a
    run's state has to write its key, or can fail because of another run.
    """

    # A digest of whose key it is, and of the key.
    key = models.UUIDField(primary_key=True, editable=False)
    run = models.UUIDField(db_index=True)
    # Of an idempotency key: a digest of what was asked for.
    request = models.CharField(max_length=64, default="")

    class Meta:
        verbose_name = _("unique key")
        verbose_name_plural = _("unique keys")

    def __str__(self) -> str:
        return f"{self.key} of {self.run}"
