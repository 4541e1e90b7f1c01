"""``Mark``: that something happened which charts should show, such as a deploy."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.fields import NameField


class Mark(models.Model):
    """A moment with a label. Read it as you like; ``taskworks mark`` and workers write it."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("at"), db_index=True)
    label = models.CharField(_("label"), max_length=200)
    # Of the first worker that has started with it; None of what a person has marked.
    release = NameField(_("release"), max_length=200, null=True, unique=True)

    class Meta:
        verbose_name = _("mark")
        verbose_name_plural = _("marks")

    def __str__(self) -> str:
        return self.label
