"""``TaskRun``: the record of a run, whatever enqueued it and whichever engine executes it."""

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import count
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db import connections, models
from django.db.models.base import ModelState
from django.utils.translation import gettext_lazy as _

from taskworks import framework
from taskworks.database.clock import DatabaseClock
from taskworks.database.fields import JSONTextField, NameField
from taskworks.database.indexes import PartialIndex
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask, TaskNotFound
from taskworks.framework import TaskError, TaskResultStatus
from taskworks.jsonvalue import copied
from taskworks.log_lines import messages_of
from taskworks.models import readable
from taskworks.options.policy import LANES, THREAD
from taskworks.options.stored import from_stored
from taskworks.result import TaskResult, message, snapshot
from taskworks.stand_ins import placeholder_for
from taskworks.task_copies import as_enqueued


class RunState(models.TextChoices):
    """
    The state of a run; it says more than the standard's status. The verbs of the store that lead
    from state to state:

    to BLOCKED       block, park
    to SCHEDULED     enqueue, unblock, requeue
    to READY         enqueue, unblock, promote, requeue, release, rescue, retry
    to CLAIMED       claim
    to RUNNING       start
    to an end        finish, commit, poison, cancel, cancel_blocked, cancel_lost, fail_lost
    """

    BLOCKED = "blocked", _("Blocked")  # waits for other runs, or for the end of a pause
    SCHEDULED = "scheduled", _("Scheduled")  # waits for its time
    READY = "ready", _("Ready")  # waits for a worker
    CLAIMED = "claimed", _("Claimed")  # a worker has taken it, and has not begun
    RUNNING = "running", _("Running")  # an attempt is being executed
    SUCCESSFUL = "successful", _("Successful")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


IN_HAND = (RunState.CLAIMED, RunState.RUNNING)
FINISHED = (RunState.SUCCESSFUL, RunState.FAILED, RunState.CANCELLED)
UNFINISHED = tuple(state for state in RunState if state not in FINISHED)

STATUS_OF: dict[str, TaskResultStatus] = {
    RunState.BLOCKED: TaskResultStatus.READY,
    RunState.SCHEDULED: TaskResultStatus.READY,
    RunState.READY: TaskResultStatus.READY,
    RunState.CLAIMED: TaskResultStatus.READY,
    RunState.RUNNING: TaskResultStatus.RUNNING,
    RunState.SUCCESSFUL: TaskResultStatus.SUCCESSFUL,
    RunState.FAILED: TaskResultStatus.FAILED,
    RunState.CANCELLED: TaskResultStatus.FAILED,
}


# The order in which the ready runs of a queue and an executor are claimed.
LANE_ORDER = ["backend", "queue_name", "executor", "rank", "available_at", "id"]
# The order in which those of a limit stand. Where indexes are over all rows, it is that of every
# ready run: without a limit, two of these columns are NULL.
LIMITED_ORDER = [
    "limit_name",
    "backend",
    "queue_name",
    "executor",
    "lane",
    "rank",
    "available_at",
    "id",
]


def new_run_id() -> UUID:
    """Return a time-ordered UUID (version 7, RFC 9562), so that an index grows at one end."""
    [value] = new_run_ids(1)
    return UUID(int=value)


def new_run_ids(number: int) -> list[int]:
    """Return the integers of new ids, in ascending order."""
    milliseconds = time.time_ns() // 1_000_000 & (1 << 48) - 1
    fixed = milliseconds << 80 | 0x7 << 76 | 0b10 << 62
    noises = _noises_by_count(number) if DatabaseClock.is_python_s else _noises(number)
    return [fixed | noise >> 62 << 64 | noise & (1 << 62) - 1 for noise in noises]


def _noises(number: int) -> list[int]:
    """Return random numbers of 74 bits, in ascending order."""
    # One read of the system's randomness, because each costs as much as the rest of an id.
    bytes_ = os.urandom(10 * number)
    return sorted(int.from_bytes(bytes_[i : i + 10]) >> 6 for i in range(0, 10 * number, 10))


def _noises_by_count(number: int) -> list[int]:
    """Return the same, but keep the order of runs in a test in which time stands still."""
    return [(next(_numbers) & (1 << 42) - 1) << 32 | noise >> 42 for noise in _noises(number)]


_numbers = count()


class _Spelled(models.Value):
    """A state that is written into the statement itself, and is not a parameter."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{RunState(self.value).value}'", ()


# SQLite sees that a parameter is what an index demands if one is compared with it, not if it is in
# a list.
_IN_HAND_SPELLED = [_Spelled(state) for state in IN_HAND]


class TaskRunQuerySet(models.QuerySet["TaskRun"]):
    # States are compared as in the conditions of indexes, or SQLite does not use these.

    def blocked(self) -> "TaskRunQuerySet":
        return self.filter(state=RunState.BLOCKED)

    def scheduled(self) -> "TaskRunQuerySet":
        return self.filter(state=RunState.SCHEDULED)

    def ready(self) -> "TaskRunQuerySet":
        return self.filter(state=RunState.READY)

    def unlimited(self) -> "TaskRunQuerySet":
        """Those without a limit."""
        # The index of MySQL and MariaDB has limit_name in front; that of others is of these alone.
        return self.filter(lane=None, **{} if self.has_partial_indexes else {"limit_name": None})

    def limited(self) -> "TaskRunQuerySet":
        """Those with a limit."""
        if self.has_partial_indexes:
            return self.filter(lane__isnull=False)
        return self.filter(limit_name__gt="")

    @property
    def has_partial_indexes(self) -> bool:
        """Whether the database has an index of those with a limit, and one of the others."""
        return connections[self.db].features.supports_partial_indexes

    def in_hand(self) -> "TaskRunQuerySet":
        """Those that a worker has claimed or executes."""
        return self.filter(state__in=_IN_HAND_SPELLED)

    def running(self) -> "TaskRunQuerySet":
        return self.filter(state=RunState.RUNNING)

    def successful(self) -> "TaskRunQuerySet":
        return self.filter(state=RunState.SUCCESSFUL)

    def failed(self) -> "TaskRunQuerySet":
        """Those with the standard's status FAILED: failed and cancelled ones."""
        return self.filter(state__in=[RunState.FAILED, RunState.CANCELLED])

    def calling(self, path: str) -> "TaskRunQuerySet":
        """Those of the task with this path, or of a schedule's callable that is not a task."""
        return self.filter(models.Q(task_path=path) | models.Q(callable_path=path))

    def finished(self) -> "TaskRunQuerySet":
        return self.filter(state__in=FINISHED)


class TaskRun(models.Model):
    """
    One enqueued run and what became of it. Read it as you like; only the store writes it. The
    engine changes attributes of a run in memory, and gives the run to a verb of the store.

    All times are the database's.
    """

    id = models.UUIDField(primary_key=True, default=new_run_id, editable=False)
    backend = NameField(max_length=64)
    queue_name = NameField(max_length=128)
    task_path = NameField(max_length=512)
    # Of what its schedule calls, if that is not a task; task_path is then that of the calling task.
    callable_path = NameField(max_length=512, null=True)
    args = JSONTextField(default=list, holds=readable.a_list)
    kwargs = JSONTextField(default=dict, holds=readable.a_dict)
    # Whose it is, as the text of the user's primary key: "" is anybody's who knows its id, and
    # None nobody's.
    owner = NameField(max_length=255, null=True)
    # -priority, so that the order of claims is ascending throughout.
    rank = models.SmallIntegerField(default=0)
    run_after = models.DateTimeField(null=True)
    executor = models.CharField(
        max_length=7, choices=[(name, name) for name in LANES], default=THREAD
    )
    # The name of its limit, and the key in it: of one lane, only so many runs are in hand at once.
    # Both are None, or neither: no claim would find a run with one of them.
    limit_name = NameField(max_length=64, null=True)
    lane = NameField(max_length=128, null=True)
    # The workflow that it is a member of. A claim does not read it: its worker learns it from the
    # metadata.
    workflow = models.UUIDField(null=True)
    # Those that using() has changed; the others are the code's.
    options = JSONTextField(default=dict, holds=readable.a_dict)
    # Until when its first attempt may begin.
    expires_at = models.DateTimeField(null=True)
    # Whether it is failed, and not executed again, when its worker dies after its start.
    at_most_once = models.BooleanField(default=False)

    state = models.CharField(max_length=10, choices=RunState, default=RunState.READY)
    enqueued_at = models.DateTimeField()
    # When the run became ready, or is due to. Of a blocked run, this and expires_at are what they
    # would be if it waited for no other: unblocking moves them by how long it has waited, unless
    # the run was parked.
    available_at = models.DateTimeField()

    # The worker that has it, and the proof that it still has.
    claimed_by = models.UUIDField(null=True)
    claim_token = models.UUIDField(null=True)
    claimed_at = models.DateTimeField(null=True)

    # Executions begun, those that a crash ended included; and those that failed, since the last
    # time that a person had the run retried.
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    # How often the process in which it was executed alone has died of it, since the same.
    crashes = models.PositiveSmallIntegerField(default=0)
    worker_ids = JSONTextField(default=list, holds=readable.labels)
    started_at = models.DateTimeField(null=True)
    last_attempted_at = models.DateTimeField(null=True)
    # Since when its path has failed to import.
    missing_since = models.DateTimeField(null=True)

    cancel_requested_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    return_value = JSONTextField(null=True, holds=readable.anything)
    errors = JSONTextField(default=list, holds=readable.errors)

    # What the run tells of itself.
    target = models.BigIntegerField(null=True)
    progress = models.BigIntegerField(null=True)
    messages = JSONTextField(default=list, holds=readable.messages)
    metadata = JSONTextField(default=dict, holds=readable.metadata)

    # The columns in which a claim has found what Taskworks has not written.
    unreadable: tuple[str, ...] = ()
    # The pause of its task, which a worker has found, and for which it is to be blocked.
    waits_for: UUID
    # The events that its task knew of when it began to wait for another.
    seen_events: frozenset[str] = frozenset()

    objects = TaskRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("task run")
        verbose_name_plural = _("task runs")
        # What Django has no word for; the dashboard asks for each of these.
        permissions = (
            ("view_arguments", "Can see arguments and results of task runs"),
            ("retry_taskrun", "Can retry task runs"),
            ("cancel_taskrun", "Can cancel task runs"),
            ("move_taskrun", "Can move task runs to another queue or time"),
            ("run_task", "Can start tasks"),
        )
        indexes = (
            PartialIndex(
                name="taskworks_run_ready",
                where=models.Q(state="ready", lane__isnull=True),
                fields=LANE_ORDER,
                otherwise=["state", *LIMITED_ORDER],
            ),
            PartialIndex(
                name="taskworks_run_limited",
                where=models.Q(state="ready", lane__isnull=False),
                fields=LIMITED_ORDER,  # elsewhere, taskworks_run_ready has these
            ),
            PartialIndex(
                name="taskworks_run_slots",
                where=models.Q(state__in=["claimed", "running"], lane__isnull=False),
                fields=["limit_name", "lane"],  # likewise
            ),
            PartialIndex(
                name="taskworks_run_blocked",
                where=models.Q(state="blocked"),
                fields=["available_at", "id"],  # elsewhere, taskworks_run_scheduled has these
            ),
            PartialIndex(
                name="taskworks_run_scheduled",
                where=models.Q(state="scheduled"),
                fields=["available_at", "id"],
                otherwise=["state", "available_at", "id"],
            ),
            PartialIndex(
                name="taskworks_run_in_hand",
                where=models.Q(state__in=["claimed", "running"]),
                fields=["claimed_by"],
                otherwise=["state", "claimed_by"],
            ),
            PartialIndex(
                name="taskworks_run_finished",
                where=models.Q(finished_at__isnull=False),
                fields=["state", "finished_at", "id"],
                otherwise=["state", "finished_at", "id"],
            ),
            PartialIndex(
                name="taskworks_run_owned",
                where=models.Q(owner__isnull=False),
                fields=["owner", "id"],
                otherwise=["owner", "id"],
            ),
            PartialIndex(
                name="taskworks_run_member",
                where=models.Q(workflow__isnull=False),
                fields=["workflow", "state", "id"],
                otherwise=["workflow", "state", "id"],
            ),
        )
        constraints = (
            models.CheckConstraint(
                name="taskworks_run_rank", condition=models.Q(rank__gte=-100, rank__lte=100)
            ),
            models.CheckConstraint(
                name="taskworks_run_limit_and_lane",
                condition=(
                    models.Q(limit_name__isnull=True, lane__isnull=True)
                    # Also that they are not NULL, or a comparison with NULL would let it pass.
                    | models.Q(limit_name__isnull=False, limit_name__gt="")
                    & models.Q(lane__isnull=False, lane__gt="")
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.called_path} {self.id} ({self.state})"

    @classmethod
    def of_columns(cls, alias: str, rows: Iterable[dict[str, Any]]) -> "list[TaskRun]":
        """
        Return stored runs, given all columns of each. Django would take four times as long, which
        matters to a worker that claims thousands per second.
        """
        runs = []
        for columns in rows:
            run = cls.__new__(cls)
            run.__dict__ = columns
            run._state = state = ModelState()
            state.db, state.adding = alias, False
            runs.append(run)
        return runs

    @property
    def priority(self) -> int:
        """-100 to 100; the larger is claimed first."""
        return -self.rank

    @property
    def status(self) -> TaskResultStatus:
        """The standard's status of this state."""
        return STATUS_OF[self.state]

    @property
    def is_parked(self) -> bool:
        """True if a worker had claimed it and found its task paused; it keeps its place."""
        return self.state == RunState.BLOCKED and self.claimed_at is not None

    @property
    def called_path(self) -> str:
        """The path of what it calls: its task, or its schedule's callable that is not a task."""
        return self.callable_path or self.task_path

    @property
    def task_name(self) -> str:
        """The name of the task's function."""
        return self.task_path.rpartition(".")[2]

    @property
    def task(self) -> framework.Task:
        """The task as it was enqueued; if its code is gone, calling it raises TaskNotFound."""
        try:
            definition = resolve(self.task_path)
        except (TaskNotFound, InvalidTask) as error:
            return as_enqueued(placeholder_for(self.task_path, error), **self._standard_options())
        try:
            return self.enqueued(definition)
        except (TaskNotFound, InvalidTask):  # of an option; the task itself exists
            return as_enqueued(definition, **self._standard_options())

    def enqueued(self, task: framework.Task) -> framework.Task:
        """
        Return the task with the options of this run; raise TaskNotFound if one of them names a
        class or function that cannot be imported, InvalidTask if one is not valid.
        """
        try:
            changed = from_stored(self.options) if self.options else {}
        except ImportError as error:
            raise TaskNotFound(self.task_path, error) from error
        return as_enqueued(task, **self._standard_options(), **changed)

    def _standard_options(self) -> dict[str, Any]:
        return {
            "priority": self.priority,
            "queue_name": self.queue_name,
            "backend": self.backend,
            "run_after": self.run_after,
        }

    def to_result(self, task: framework.Task | None = None) -> TaskResult[..., Any]:
        """Return a snapshot of the run."""
        return snapshot(
            task=task or self.task,
            id=str(self.id),
            status=self.status,
            enqueued_at=self.enqueued_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            last_attempted_at=self.last_attempted_at,
            args=copied(self.args),
            kwargs=copied(self.kwargs),
            backend=self.backend,
            errors=[_task_error(entry) for entry in self.errors],
            worker_ids=list(self.worker_ids),
            target=self.target,
            progress=self.progress,
            messages=[message(entry) for entry in messages_of(self.messages)],
            metadata=copied(self.metadata),
            is_cancelled=self.state == RunState.CANCELLED,
            cancel_requested=self.cancel_requested_at is not None,
            is_new=True,
            _return_value=self.return_value,
        )


def _task_error(entry: dict[str, Any]) -> TaskError:
    return TaskError(
        exception_class_path=entry["exception_class_path"], traceback=entry["traceback"]
    )


# The order of claims from a queue: by rank, time of becoming ready, and id.
claim_order: Callable[[TaskRun], tuple[int, datetime, UUID]]
claim_order = attrgetter("rank", "available_at", "id")
_in_claim_order = attrgetter("rank", "available_at", "id.int")  # integers are compared faster


def in_claim_order(runs: Iterable[TaskRun]) -> list[TaskRun]:
    """Return the runs in the order of claims."""
    return sorted(runs, key=_in_claim_order)
