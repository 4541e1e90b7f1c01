"""``Worker``: one row per running worker process, with its latest heartbeat."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from taskworks.conf import conf
from taskworks.database.clock import DatabaseClock
from taskworks.database.fields import JSONTextField, NameField
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.models import readable
from taskworks.options.policy import ALONE
from taskworks.sentences import sentence


class Request(models.TextChoices):
    """What a worker may be asked to do."""

    DRAIN = "drain", _("Drain")  # claim nothing more, and end when what it has is done
    STOP = "stop", _("Stop")  # the same, but interrupt what takes too long, as SIGTERM does


class WorkerQuerySet(models.QuerySet["Worker"]):
    def living(self) -> "WorkerQuerySet":
        """Those that were not given up."""
        return self.filter(given_up_at=None)

    def heard(self) -> "WorkerQuerySet":
        """Those that live and have sent a heartbeat within ``WORKER_TIMEOUT``."""
        silence = timedelta(seconds=conf().worker_timeout)
        return self.living().filter(heartbeat_at__gt=DatabaseClock(-silence))

    def attending(
        self, backend: str, queue_name: str, executor: str | None = None
    ) -> "list[Worker]":
        """
        Those that are heard and take runs of this queue, and of this executor if one is given;
        without those that were asked to end. In one statement.
        """
        candidates = self.heard().filter(backend=backend, asked_to="")
        return [worker for worker in candidates if worker.takes(queue_name, executor)]


class Worker(models.Model):
    """
    A worker process. Each start makes a row, which is deleted when the process stops in order. A
    worker that was given up is never taken back.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Its name for people; not unique.
    label = models.CharField(max_length=64)
    hostname = models.CharField(max_length=255)
    pid = models.PositiveIntegerField()
    backend = NameField(max_length=64, default=DEFAULT_TASK_BACKEND_ALIAS)
    # The queues that it takes; None for all, except for those excluded.
    queues = JSONTextField(null=True, holds=readable.labels)
    excluded_queues = JSONTextField(default=list, holds=readable.labels)
    # How many runs it executes at once, by executor.
    slots = JSONTextField(default=dict, holds=readable.a_dict)
    version = models.CharField(max_length=32, default="")  # of Taskworks
    release = models.CharField(max_length=200, default="")  # of the project
    python = models.CharField(max_length=32, default="")
    started_at = models.DateTimeField()
    given_up_at = models.DateTimeField(null=True)
    asked_to = models.CharField(max_length=8, choices=Request, default="", blank=True)

    # Written with each heartbeat, and in no index.
    heartbeat_at = models.DateTimeField()
    busy = models.PositiveIntegerField(default=0)  # slots that runs have, or are about to
    memory = models.PositiveBigIntegerField(null=True)  # resident bytes, without child processes

    objects = WorkerQuerySet.as_manager()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        permissions = (("stop_worker", "Can stop workers"),)

    def __str__(self) -> str:
        return f"{self.label} ({self.hostname}, pid {self.pid})"

    def takes(self, queue_name: str, executor: str | None = None) -> bool:
        """Return whether it takes runs of this queue, and of this executor if one is given."""
        has_queue = self.queues is None or queue_name in self.queues
        if not has_queue or queue_name in self.excluded_queues:
            return False
        # Every worker has a slot for runs that are executed alone.
        return executor is None or executor == ALONE or self._slots(executor) > 0

    @property
    def all_slots(self) -> int:
        """How many runs it executes at once, of all executors."""
        return sum(map(self._slots, self.slots))

    def taken_slots(self, in_hand: Mapping[str, int]) -> int:
        """
        Return how many of its slots are taken by so many runs of each executor. What it has claimed
        ahead takes none.
        """
        return sum(min(number, self._slots(executor)) for executor, number in in_hand.items())

    @property
    def queues_in_words(self) -> str:
        """The queues that it takes, such as "every queue except mail"."""
        every = sentence(gettext_noop("every queue"))
        names = every if self.queues is None else ", ".join(self.queues)
        if not self.excluded_queues:
            return names
        excluded = ", ".join(self.excluded_queues)
        return sentence(
            gettext_noop("%(queues)s except %(excluded)s"), queues=names, excluded=excluded
        )

    def _slots(self, executor: str) -> int:
        # Somebody may have written anything into the row.
        slots: Mapping[str, Any] = self.slots
        number = slots.get(executor, 0)
        return number if type(number) is int else 0
