"""``IdempotencyKey``: that a request has started a run, and is not to start another."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class IdempotencyKey(models.Model):
    """
    What a request was told apart by that has started a run; it goes when the run is pruned. In a
    table of its own, so that runs that nobody asks for twice do not pay for it.
    """

    # A digest of whose key it is, and of the key.
    key = models.UUIDField(primary_key=True, editable=False)
    run = models.UUIDField(db_index=True)
    # A digest of what was asked for.
    request = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")

    def __str__(self) -> str:
        return f"{self.key} of {self.run}"
