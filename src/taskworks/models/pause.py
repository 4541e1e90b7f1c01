"""``Pause``: keeps workers from beginning the runs of a queue, a task, a limit or a key."""

from functools import reduce
from operator import or_
from typing import NamedTuple
from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from taskworks.database.clock import DatabaseClock
from taskworks.database.fields import NameField
from taskworks.models.run import TaskRun, TaskRunQuerySet
from taskworks.sentences import Sentence, joined, moment_in_words, sentence

QUEUE, TASK, LIMIT = "queue", "task", "limit"
SENTENCE_ENDS = (".", "!", "?", "…")
_OF_KIND = {
    QUEUE: gettext_noop("queue %(name)s"),
    TASK: gettext_noop("task %(name)s"),
    LIMIT: gettext_noop("limit %(name)s"),
}


class Scope(NamedTuple):
    """What a pause holds up: a queue of a backend, a task, a limit, or a key of a limit."""

    kind: str
    name: str
    backend: str = ""  # of a queue; tasks and limits are those of every backend
    key: str = ""  # the lane of a key; "" is not one

    def __str__(self) -> str:
        return self.in_words

    @property
    def in_words(self) -> Sentence:
        """What it is and its name, such as "queue 'mail'"."""
        words = sentence(_OF_KIND[self.kind], name=repr(self.name))
        if self.backend:
            return sentence(
                gettext_noop("%(words)s of the backend %(backend)s"),
                words=words,
                backend=repr(self.backend),
            )
        if not self.key:
            return words
        return sentence(
            gettext_noop("key %(key)s of the %(words)s"), key=repr(self.key), words=words
        )

    @property
    def named(self) -> Sentence:
        """The same with an article."""
        return sentence(gettext_noop("the %(words)s"), words=self.in_words)

    def of(self, runs: TaskRunQuerySet) -> TaskRunQuerySet:
        """Return those of these runs that it holds up."""
        if self.kind == TASK:
            return runs.calling(self.name)
        if self.kind == LIMIT:
            of_key = {"lane": self.key} if self.key else {"lane__isnull": False}
            return runs.filter(limit_name=self.name, **of_key)
        return runs.filter(backend=self.backend, queue_name=self.name)


def scopes_of(run: TaskRun) -> list[Scope]:
    """Return whatever could be paused to hold up this run."""
    scopes = [Scope(QUEUE, run.queue_name, run.backend), Scope(TASK, run.task_path)]
    if run.callable_path is not None:
        scopes.append(Scope(TASK, run.callable_path))
    if run.limit_name is not None:
        scopes.append(Scope(LIMIT, run.limit_name))
        scopes.append(Scope(LIMIT, run.limit_name, key=run.lane or ""))
    return scopes


class PauseQuerySet(models.QuerySet["Pause"]):
    def of(self, *scopes: Scope) -> "PauseQuerySet":
        """The pauses of these."""
        each = (models.Q(**scope._asdict()) for scope in scopes)
        return self.filter(reduce(or_, each))

    def in_force(self) -> "PauseQuerySet":
        """Those whose time is not over."""
        return self.filter(models.Q(until=None) | models.Q(until__gt=DatabaseClock()))


class Pause(models.Model):
    """
    Workers begin no run of what is paused, until somebody resumes it, which deletes the row, or
    until its end. You may read the rows; ``taskworks.control`` writes them, and notifies workers.

    All times are the database's.
    """

    # Runs of a paused task wait for it, as others wait for a run.
    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Of a queue; "" for tasks and limits, which are those of every backend.
    backend = NameField(_("backend"), max_length=64, default="", blank=True)
    kind = models.CharField(
        _("kind"),
        max_length=8,
        choices=[(QUEUE, _("Queue")), (TASK, _("Task")), (LIMIT, _("Limit"))],
        default=QUEUE,
    )
    # Of the queue or the limit, or the path of the task.
    name = NameField(_("name"), max_length=512)
    # The lane of a key of the limit; "" if it is all of the limit.
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
        return str(self.scope)

    @property
    def scope(self) -> Scope:
        """What is paused."""
        return Scope(self.kind, self.name, self.backend, self.key)

    @property
    def in_words(self) -> Sentence:
        """
        Until when it is paused, by whom and why, as the end of a sentence, such as "paused by anna:
        The provider is down."
        """
        words = joined(sentence(gettext_noop("paused")), self._until_when, self._by_whom)
        if self.reason.strip():
            words = joined(words, self.reason.rstrip(), by=": ")
        return words if words.endswith(SENTENCE_ENDS) else joined(words, ".", by="")

    @property
    def _until_when(self) -> str:
        if not self.until:
            return ""
        return sentence(gettext_noop("until %(time)s"), time=moment_in_words(self.until))

    @property
    def _by_whom(self) -> str:
        return sentence(gettext_noop("by %(name)s"), name=self.by) if self.by else ""
