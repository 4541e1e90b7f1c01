"""``Pause``: that no worker takes the runs of a queue for now."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from taskworks.database.clock import DatabaseClock
from taskworks.database.fields import NameField

QUEUE = "queue"
SENTENCE_ENDS = (".", "!", "?", "…")


class PauseQuerySet(models.QuerySet["Pause"]):
    def of_queue(self, backend: str, name: str) -> "PauseQuerySet":
        """The pause of this queue, if there is one."""
        return self.filter(backend=backend, kind=QUEUE, name=name)

    def in_force(self) -> "PauseQuerySet":
        """Those that have not ended by themselves."""
        return self.filter(models.Q(until=None) | models.Q(until__gt=DatabaseClock()))


class Pause(models.Model):
    """
    Workers claim nothing from what is paused, until somebody resumes it, which deletes the row, or
    until its end. Read it as you like; ``taskworks.control`` writes it, and tells the workers.

    All times are the database's.
    """

    id = models.BigAutoField(primary_key=True)
    backend = NameField(_("backend"), max_length=64)
    # What is paused. Only queues can be so far, and these have no key.
    kind = models.CharField(_("kind"), max_length=8, choices=[(QUEUE, _("Queue"))], default=QUEUE)
    name = NameField(_("name"), max_length=512)
    key = NameField(_("key"), max_length=128, default="", blank=True)
    until = models.DateTimeField(_("until"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=1000, default="", blank=True)
    by = models.CharField(_("by"), max_length=255, default="", blank=True)
    at = models.DateTimeField(_("at"))

    objects = PauseQuerySet.as_manager()

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        constraints = (
            models.UniqueConstraint(
                name="taskworks_pause_once", fields=["backend", "kind", "name", "key"]
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name} of {self.backend}"

    @property
    def in_words(self) -> str:
        """
        Until when it is paused, by whom and why, as the end of a sentence, such as "paused by anna:
        The provider is down."
        """
        until = f" until {self.until:%Y-%m-%d %H:%M:%S %Z}".rstrip() if self.until else ""
        by = f" by {self.by}" if self.by else ""
        why = f": {self.reason.rstrip()}" if self.reason.strip() else ""
        words = f"paused{until}{by}{why}"
        return words if words.endswith(SENTENCE_ENDS) else f"{words}."
