"""``Schedule``: a stored timetable, and what it runs."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models, router
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from taskworks import jsonvalue
from taskworks.compat.sisy.schedule import SisySchedule
from taskworks.database import clock, shards
from taskworks.database.fields import ONE, CatchUpField, JSONTextField, NameField
from taskworks.database.indexes import PartialIndex
from taskworks.database.shards import database_of
from taskworks.definition import Task
from taskworks.framework import DEFAULT_TASK_BACKEND_ALIAS
from taskworks.models import planning, schedule_validation
from taskworks.models.change_tracking import ChangeTracking
from taskworks.models.planning import PLAN, TIMING, not_planned
from taskworks.models.run import FINISHED, TaskRun, TaskRunQuerySet
from taskworks.models.schedule_validation import CALL
from taskworks.timetables import callable_task, callables
from taskworks.timetables.callables import Described

MAX_LATEST_RUNS = 100  # runs of one schedule among which the unfinished ones are looked for
# Columns that decide in which database it is to be.
OF_ITS_PLACE = {"kind", "path", "options", "enabled"}
# Columns that a copy of a row does not take on.
OF_ONE_ROW = {"declared", "last_run", "fired", *PLAN}


def project_timezone() -> str:
    """Return the name of the project's time zone."""
    return str(settings.TIME_ZONE)


class Kind(models.TextChoices):
    """What the path of a schedule leads to."""

    TASK = callables.TASK, _("Task")
    FUNCTION = callables.FUNCTION, _("Function")
    STATIC_METHOD = callables.STATIC_METHOD, _("Static method")
    CLASS_METHOD = callables.CLASS_METHOD, _("Class method")
    METHOD = callables.METHOD, _("Method of a model instance")


class Overlap(models.TextChoices):
    """What a schedule does that is due while a run of it is not finished."""

    RUN = "run", _("Run beside it")
    SKIP = "skip", _("Skip this time")
    QUEUE = "queue", _("Run after it")
    CANCEL_PREVIOUS = "cancel_previous", _("Cancel it, and run")


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def enabled(self) -> "ScheduleQuerySet":
        return self.filter(enabled=True)

    def unable(self) -> "ScheduleQuerySet":
        """Those that could not fire when they were last due."""
        return self.exclude(error="")


class Schedule(SisySchedule, ChangeTracking):
    """
    What to run, and when. Save it like any row: it is validated, and planned again if its timing
    has changed. Only what you have changed is written, so you do not undo what a firing or another
    person has written since you read it.

    All times are the database's. A planned time is fired once, by whichever worker comes first.
    """

    id = models.BigAutoField(primary_key=True)
    label = NameField(_("label"), max_length=255, unique=True)

    # What to run.
    kind = models.CharField(_("kind"), max_length=13, choices=Kind, default=Kind.TASK)
    path = NameField(_("path"), max_length=512)
    # The primary key, as text, of the instance whose method is run.
    object_pk = models.CharField(_("object"), max_length=255, null=True, blank=True)  # noqa: DJ001
    args = JSONTextField(_("arguments"), default=list, blank=True)
    kwargs = JSONTextField(_("keyword arguments"), default=dict, blank=True)
    userdata = JSONTextField(_("user data"), default=dict, blank=True)
    # Options of its runs, as ``using()`` takes them: queue_name, priority, timeout, ...
    options = JSONTextField(_("options"), default=dict, blank=True)

    # When.
    cron = models.CharField(_("cron expression"), max_length=255, default="", blank=True)
    interval = models.DurationField(_("interval"), null=True, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, default=project_timezone)
    enabled = models.BooleanField(_("enabled"), default=True)
    start_running = models.DateTimeField(_("start running"), null=True, blank=True)
    end_running = models.DateTimeField(_("end running"), null=True, blank=True)
    # Whether its first run waits for a planned time; if not, it comes at once.
    wait_for_schedule = models.BooleanField(_("wait for schedule"), default=True)
    iterations = models.PositiveIntegerField(_("iterations"), default=0)  # 0: no limit
    overlap = models.CharField(_("overlap"), max_length=15, choices=Overlap, default=Overlap.RUN)
    catch_up = CatchUpField(_("catch up"), default=ONE)
    jitter = models.DurationField(_("jitter"), default=timedelta, blank=True)

    # The columns as a declaration in code has them; NULL for a row that is not declared.
    declared = JSONTextField(_("declared"), null=True, editable=False)

    # What has become of it, and its plan.
    last_run = models.DateTimeField(_("last run"), null=True, editable=False)
    next_run = models.DateTimeField(_("next run"), null=True, editable=False)
    # Planned times before this one were missed, and are made up for, however many they are.
    behind_until = models.DateTimeField(null=True, editable=False)
    fired = models.PositiveBigIntegerField(_("fired"), default=0, editable=False)
    # Why it could not fire; "" once it could.
    error = models.TextField(_("error"), default="", editable=False)
    # When its iterations or its time were used up.
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)
    # When a worker is to look at it: its next_run, or later if it cannot fire, or at once if it has
    # no plan.
    due_at = models.DateTimeField(default=not_planned, editable=False)
    created_at = models.DateTimeField(_("created at"), editable=False, default=now)
    modified_at = models.DateTimeField(_("modified at"), editable=False, default=now)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ("label",)
        indexes = (
            PartialIndex(
                name="taskworks_schedule_due",
                where=models.Q(enabled=True),
                fields=["due_at"],
                otherwise=["enabled", "due_at"],
            ),
        )

    def __str__(self) -> str:
        return self.label

    def save(
        self,
        *,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """
        Validate it, plan it again if its timing has changed, and write what has changed.

        Raise ValidationError, by field, if it is not valid; nothing is written then.
        """
        alias = using or self._stored_in or self.database
        if self.pk is None:  # which Django inserts, as the way to copy a row
            self._state.adding = True
        if self._is_copy():
            self._begin_anew()
        adding = self._state.adding or bool(force_insert) or self._is_stored_elsewhere(alias)
        changed = self._changed()
        if update_fields is not None:
            changed &= {*update_fields}
        if alias != self.database and (adding or (self.enabled and changed & OF_ITS_PLACE)):
            self._refuse_another_shard(alias)
        if "catch_up" in changed:  # the times to make up for are chosen again
            self.behind_until = None
            changed.add("behind_until")
        was_enabled = self.enabled
        is_planned = self._make_ready(alias, changed, adding=adding)
        if adding:
            super().save(force_insert=force_insert, force_update=force_update, using=alias)
        else:
            written = changed | {"modified_at"} | (PLAN if is_planned else set())
            if self.enabled != was_enabled:
                written.add("enabled")
            super().save(force_update=force_update, using=alias, update_fields=written)
        self._note_as_it_is()

    # A copy of it.

    def _is_copy(self) -> bool:
        """Return whether another row was read or saved as this object; labels are unique."""
        before = self.__dict__.get("_before", {})
        return self._state.adding and before.get("label", self.label) != self.label

    def _begin_anew(self) -> None:
        """Take on nothing that only the copied row is: declared in code, planned, and fired."""
        now = self._as_it_is()
        for field in self._meta.concrete_fields:
            if field.name in OF_ONE_ROW and now.get(field.name) == self._before.get(field.name):
                setattr(self, field.name, field.get_default())

    def _is_stored_elsewhere(self, alias: str) -> bool:
        return self._state.db not in (None, alias)

    # What it runs.

    @property
    def described(self) -> Described:
        """The task or callable, as it is stored."""
        return Described(self.kind, self.path, self.object_pk)

    def describe(self, given: Any, pk: Any = None) -> None:
        """
        Run this: a task, a callable of one argument, or the dotted path of either.

        Raise ValueError for what cannot be scheduled.
        """
        self._trusted = described = callables.describe(given, pk)
        self.kind, self.path, self.object_pk = described.kind, described.path, described.object_pk

    @property
    def task(self) -> Task:
        """
        The task of its runs, with its options. Raise TaskNotFound if the path leads nowhere,
        InvalidTask or ImportError if the options do not fit any more.
        """
        task = callable_task.task_for(self.described)
        return task.using(**schedule_validation.as_options(self.options)) if self.options else task

    @property
    def is_task(self) -> bool:
        """True if it runs a task, False if it calls a callable with a message."""
        return self.kind == Kind.TASK

    @property
    def userdata_as_text(self) -> str:
        """As it is stored; raise TypeError or ValueError if it is not JSON."""
        return jsonvalue.encode(self.userdata, "userdata")

    # Its runs.

    @property
    def running(self) -> bool:
        """True if a run of it waits or is executed."""
        return self.living_runs().exists()

    def living_runs(self) -> TaskRunQuerySet:
        """Return those of its latest runs that are not finished."""
        runs = TaskRun.objects.using(self._state.db).filter(id__in=self.latest_runs())
        return runs.exclude(state__in=FINISHED)

    def latest_runs(self) -> list[UUID]:
        """Return the ids of its latest runs, the latest first."""
        firings = self.firings.using(self._state.db).order_by("-planned_at")  # not of a replica
        return [*filter(None, firings.values_list("run", flat=True)[:MAX_LATEST_RUNS])]

    # When it runs.

    def in_words(self) -> str:
        """Return when it runs, and how often; raise InvalidTimetable if its timing is not valid."""
        return planning.in_words(self)

    def upcoming(self, n: int, after: datetime | None = None) -> list[datetime]:
        """
        Return the next n times, or fewer if it ends before, in its own time zone; as if it were
        enabled.
        """
        moment = after or clock.read(connections[self.database])
        return planning.upcoming(self, n, clock.as_aware(moment), self._stored_next_run())

    def is_over(self) -> bool:
        """Return whether its end leaves no planned time, by the database's clock."""
        if self.end_running is None:
            return False
        now = clock.read(connections[self.database])
        return planning.first_run(self, clock.as_aware(now)) is None

    def _stored_next_run(self) -> datetime | None:
        """Return next_run if it is that of the plan, and the plan is up to date."""
        if self.next_run is None or self._changed() & {"next_run", *TIMING}:
            return None
        return clock.as_aware(self.next_run)

    # Validation and planning.

    def full_clean(
        self,
        exclude: Iterable[str] | None = None,
        validate_unique: bool = True,
        validate_constraints: bool = True,
    ) -> None:
        """Validate as Django does, and refuse to enable what would not fire even once."""
        super().full_clean(exclude, validate_unique, validate_constraints)
        if self._state.adding or "enabled" in self._changed():
            schedule_validation.refuse_in_vain(self, clock.read(connections[self.database]))

    def validate_unique(self, exclude: Collection[str] | None = None) -> None:
        """Validate as Django does, but ask where rows are written: a replica may be late."""
        rows = type(self)._base_manager.using(self.database)
        others = rows if self._state.adding else rows.exclude(pk=self.pk)
        given = {name: getattr(self, name) for name in {"id", "label"}.difference(exclude or ())}
        taken = {
            name: self.unique_error_message(type(self), (name,))
            for name, value in given.items()
            if value is not None
            and (self._state.adding or name != "id")
            and others.filter(**{name: value}).exists()
        }
        if taken:
            raise ValidationError(taken)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Validate as Django does, after other ways to write a value are put into one."""
        schedule_validation.normalise(self)
        super().clean_fields(exclude)

    def clean(self) -> None:
        """Refuse, by field, what could never run; of a stored row, only what has changed."""
        changed = self._changed()
        if self.enabled and "enabled" in changed:  # the code may have changed since
            changed |= {*CALL, *TIMING}
        schedule_validation.refuse(self, changed)

    def columns(self, using: str | None = None) -> dict[str, Any]:
        """
        Validate and plan it, and return all its columns but the id, for a caller that writes them
        in another way; raise ValidationError as ``save`` does. The label may be taken, and a
        schedule whose time is over is disabled instead of refused.
        """
        self._make_ready(using or self.database, self._changed(), adding=True, strictly=False)
        names = [field.attname for field in self._meta.concrete_fields if not field.primary_key]
        return {name: getattr(self, name) for name in names}

    @property
    def database(self) -> str:
        """The alias of the database of its runs, whose workers fire it."""
        if shards.named():  # of an instance, it would be that of its row, which is to move
            return database_of(self._backend()) or router.db_for_write(type(self))
        return router.db_for_write(type(self), instance=self)

    def _backend(self) -> str:
        try:
            return self.task.backend
        except Exception:  # noqa: BLE001 - importing its module may raise anything
            return str(self.options.get("backend", DEFAULT_TASK_BACKEND_ALIAS))

    @property
    def _stored_in(self) -> str | None:
        """The alias of the shard that has the row; None without shards, and for a replica."""
        stored, named = self._state.db, shards.named()
        written = {*named, router.db_for_write(type(self))} if named else set()
        return stored if stored in written else None

    def _refuse_another_shard(self, alias: str) -> None:
        """Refuse to store it where its runs are not: no worker there could fire it."""
        if shards.named() & {alias, self.database}:
            raise ValidationError(
                f"The schedule {self.label!r} fires runs of the backend {self._backend()!r}, which "
                f"are in the database {self.database!r}, and so it cannot be in {alias!r}. Save a "
                "new one there, and delete this one."
            )

    def _make_ready(
        self, alias: str, changed: set[str], *, adding: bool, strictly: bool = True
    ) -> bool:
        """
        Validate what has changed, and plan it if necessary; return whether it was planned. If not
        ``strictly``, its label may be taken and its time over.
        """
        now = clock.read(connections[alias])
        self.modified_at = now
        if adding:
            self.created_at = now
        if changed:
            names = {field.name for field in self._meta.concrete_fields}
            exclude = {"id", *(names - changed)}
            super().full_clean(exclude, validate_unique=strictly, validate_constraints=False)
        if "next_run" in changed and self.next_run and self.enabled:
            self.due_at, self.behind_until = self.next_run, None
            return True
        if not adding and not planning.needs_a_plan(self, changed):
            return False
        if not adding and "iterations" in changed and self.finished_at:
            self.enabled = self.enabled or not planning.is_used_up(self)
        if strictly and (adding or "enabled" in changed):
            schedule_validation.refuse_in_vain(self, now)
        planning.plan(self, now)
        return True
