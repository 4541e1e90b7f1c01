"""``Bucket``: how much of its rate a key of a limit has used, and until when it is held."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import NameField
from taskworks.options.limits import MAX_LANE, MAX_NAME


class Bucket(models.Model):
    """
    What a claim from a limit with a rate has to remember of a key, or of all of them. A bucket that
    is full, and not held any more, equals no row, and housekeeping deletes it.

    ``taskworks.options.rates`` has the arithmetic.
    """

    # A digest of the two names. Not their unique index: where MySQL and MariaDB meet a row in any
    # but the primary key, they lock the gap beside it too, and claims might deadlock.
    key = models.UUIDField(primary_key=True, editable=False)
    limit_name = NameField(max_length=MAX_NAME)
    lane = NameField(max_length=MAX_LANE)  # "" for all lanes of the limit
    full_at = models.DateTimeField(null=True)  # NULL: it is full
    held_until = models.DateTimeField(null=True)  # NULL: it is not held

    class Meta:
        verbose_name = _("bucket")
        verbose_name_plural = _("buckets")

    def __str__(self) -> str:
        return f"{self.limit_name}/{self.lane}" if self.lane else self.limit_name
