"""``Schedule``: a stored timetable, and what it runs."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, models, router
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from taskworks import jsonvalue
from taskworks.compat.sisy.schedule import SisySchedule
from taskworks.database import clock
from taskworks.database.fields import ONE, CatchUpField, JSONTextField, NameField
from taskworks.database.indexes import PartialIndex
from taskworks.definition import Task
from taskworks.models import schedule_validation
from taskworks.models.change_tracking import Remembering
from taskworks.models.run import FINISHED, TaskRun, TaskRunQuerySet
from taskworks.models.schedule_validation import CALL, FAR_FUTURE, HAS_NOT_RUN, TIMING
from taskworks.timetables import callable_task, callables, cron
from taskworks.timetables.callables import Described
from taskworks.timetables.cron import Cron, Interval, Timetable

# What a plan writes; and ``enabled`` if it has changed it, for otherwise another may have.
PLAN = {"error", "finished_at", "next_run", "due_at", "behind_until"}
# Of runs of one schedule, among which those that are not finished are looked for.
LATEST = 100


def project_timezone() -> str:
    """The name of the project's time zone."""
    return str(settings.TIME_ZONE)


def not_planned() -> datetime:
    """What ``due_at`` is until a schedule is planned: long ago, so that a worker plans it."""
    return clock.as_stored(HAS_NOT_RUN)


class Kind(models.TextChoices):
    """What a schedule's path leads to."""

    TASK = callables.TASK, _("Task")
    FUNCTION = callables.FUNCTION, _("Function")
    STATIC_METHOD = callables.STATIC_METHOD, _("Static method")
    CLASS_METHOD = callables.CLASS_METHOD, _("Class method")
    METHOD = callables.METHOD, _("Method of a model instance")


class Overlap(models.TextChoices):
    """What a schedule that is due does while a run of it is not finished."""

    RUN = "run", _("Run beside it")
    SKIP = "skip", _("Skip this time")
    QUEUE = "queue", _("Run after it")
    CANCEL_PREVIOUS = "cancel_previous", _("Cancel it, and run")


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def enabled(self) -> "ScheduleQuerySet":
        return self.filter(enabled=True)

    def unable(self) -> "ScheduleQuerySet":
        """Those that could not fire when they last were to."""
        return self.exclude(error="")


class Schedule(SisySchedule, Remembering):
    """
    What runs by itself, and when. Save it like any row: it is validated, and planned anew if that
    has changed; what you have not changed is not written, so that nothing is undone that a firing
    or another person has written meanwhile.

    All times are the database's. A planned time is fired once, by whichever worker comes first.
    """

    id = models.BigAutoField(primary_key=True)
    label = NameField(_("label"), max_length=255, unique=True)

    # What to run.
    kind = models.CharField(_("kind"), max_length=13, choices=Kind, default=Kind.TASK)
    path = NameField(_("path"), max_length=512)
    # Of the instance whose method is run, as text; of any type.
    object_pk = models.CharField(_("object"), max_length=255, null=True, blank=True)  # noqa: DJ001
    args = JSONTextField(_("arguments"), default=list, blank=True)
    kwargs = JSONTextField(_("keyword arguments"), default=dict, blank=True)
    userdata = JSONTextField(_("user data"), default=dict, blank=True)
    # Of its runs, as ``using()`` takes them: queue_name, priority, timeout, ...
    options = JSONTextField(_("options"), default=dict, blank=True)

    # When.
    cron = models.CharField(_("cron expression"), max_length=255, default="", blank=True)
    interval = models.DurationField(_("interval"), null=True, blank=True)
    timezone = models.CharField(_("time zone"), max_length=64, default=project_timezone)
    enabled = models.BooleanField(_("enabled"), default=True)
    start_running = models.DateTimeField(_("start running"), null=True, blank=True)
    end_running = models.DateTimeField(_("end running"), null=True, blank=True)
    # Whether its first run waits for a planned time, or comes at once.
    wait_for_schedule = models.BooleanField(_("wait for schedule"), default=True)
    iterations = models.PositiveIntegerField(_("iterations"), default=0)  # 0: without end
    overlap = models.CharField(_("overlap"), max_length=15, choices=Overlap, default=Overlap.RUN)
    catch_up = CatchUpField(_("catch up"), default=ONE)
    jitter = models.DurationField(_("jitter"), default=timedelta, blank=True)

    # What a declaration in code has said, as columns; null for a row that has none.
    declared = JSONTextField(_("declared"), null=True, editable=False)

    # What becomes of it.
    last_run = models.DateTimeField(_("last run"), null=True, editable=False)
    next_run = models.DateTimeField(_("next run"), null=True, editable=False)
    # While it makes up for what was missed: from its next_run until then, however many those are.
    behind_until = models.DateTimeField(null=True, editable=False)
    fired = models.PositiveBigIntegerField(_("fired"), default=0, editable=False)
    # Why it could not fire; "" once it has.
    error = models.TextField(_("error"), default="", editable=False)
    # When its iterations, or its time, were used up.
    finished_at = models.DateTimeField(_("finished at"), null=True, editable=False)
    # When a worker is to look at it: its next_run, or later if it cannot fire; at once if it is
    # not planned.
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
        Validate it, plan it anew if need be, and write what has changed.

        Raise ValidationError, by field, for what is not valid; nothing is written then.
        """
        alias = using or self._alias()
        adding = self._state.adding or bool(force_insert)
        changed = self._changed()
        if update_fields is not None:
            changed &= {*update_fields}
        if "catch_up" in changed:  # which times are wanted is another question then
            self.behind_until = None
            changed.add("behind_until")
        was_enabled = self.enabled
        is_planned = self._make_ready(alias, changed, adding=adding)
        if adding:
            super().save(force_insert=force_insert, force_update=force_update, using=using)
        else:
            written = changed | {"modified_at"} | (PLAN if is_planned else set())
            if self.enabled != was_enabled:
                written.add("enabled")
            super().save(force_update=force_update, using=using, update_fields=written)
        self._note_as_it_is()

    # What it runs.

    @property
    def described(self) -> Described:
        """The task or callable, as it is stored."""
        return Described(self.kind, self.path, self.object_pk)

    def describe(self, given: Any, pk: Any = None) -> None:
        """
        Run this: a task, a callable of one argument, or the dotted path of either.

        Raise ValueError for what cannot be scheduled, in a sentence that says why.
        """
        self._trusted = described = callables.describe(given, pk)
        self.kind, self.path, self.object_pk = described.kind, described.path, described.object_pk

    @property
    def task(self) -> Task:
        """
        The task that its runs are of, with its options. Raise TaskNotFound if the path leads
        nowhere, InvalidTask or ImportError if the options do not fit any more.
        """
        task = callable_task.task_for(self.described)
        return task.using(**schedule_validation.as_options(self.options)) if self.options else task

    @property
    def userdata_as_text(self) -> str:
        """As it is stored; raise TypeError or ValueError if it is no JSON."""
        return jsonvalue.encode(self.userdata, "userdata")

    @property
    def is_task(self) -> bool:
        """Whether it runs a task, and no callable that takes a message."""
        return self.kind == Kind.TASK

    def living_runs(self) -> TaskRunQuerySet:
        """Those of its latest runs that are not finished."""
        runs = TaskRun.objects.using(self._state.db).filter(id__in=self.latest_runs())
        return runs.exclude(state__in=FINISHED)

    def latest_runs(self) -> list[UUID]:
        """The ids of its latest runs, the latest first."""
        firings = self.firings.using(self._state.db).order_by("-planned_at")  # no replica's
        return [*filter(None, firings.values_list("run", flat=True)[:LATEST])]

    @property
    def running(self) -> bool:
        """Whether a run of it waits or is executed."""
        return self.living_runs().exists()

    # When it does.

    @property
    def timetable(self) -> Timetable:
        """Its planned times, whatever its start and end; raise InvalidTimetable for bad ones."""
        if self.interval is not None:
            start = self.start_running or self.created_at
            return Interval(self.interval, clock.as_aware(start))
        return Cron(self.cron, self.timezone)

    def in_words(self) -> str:
        """When it runs, in a sentence."""
        return self.timetable.in_words()

    def upcoming(self, n: int, after: datetime | None = None) -> list[datetime]:
        """
        The next n times, or fewer if it ends before, in its own time zone; as if it were enabled.
        """
        moment = clock.as_aware(after or clock.read(connections[self._alias()]))
        times = [next_run] if (next_run := self._next_if_planned(moment)) else []
        for planned in self.times_after(times[-1] if times else moment):
            if len(times) >= self._most_upcoming(n):
                break
            times.append(planned)
        zone = cron.zone_of(self.timezone)
        return [planned.astimezone(zone) for planned in times[: self._most_upcoming(n)]]

    def next_after(self, moment: datetime) -> datetime | None:
        """The first planned time after this moment, within its start and end."""
        return next(self.times_after(moment), None)

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """The planned times after this moment, within its start and end."""
        start = self.start_running and clock.as_aware(self.start_running)
        if start and start > moment:
            moment = start - cron.TICK  # it may be a planned time itself
        times = filter(clock.can_be_stored, self.timetable.after(moment))
        return takewhile(self._is_before_end, times)

    def nth_latest(self, n: int, since: datetime, until: datetime) -> datetime | None:
        """
        The nth latest of the planned times after one moment and before another, within its start
        and end; None if they are fewer.
        """
        start = self.start_running and clock.as_aware(self.start_running)
        if start and start > since:
            since = start - cron.TICK  # it may be a planned time itself
        if self.end_running:
            until = min(until, clock.as_aware(self.end_running))
        found = self.timetable.nth_latest(n, since, until)
        return found and self.next_after(found - cron.TICK)  # which can be stored

    @property
    def is_used_up(self) -> bool:
        """Whether it has fired as often as it may."""
        return 0 < self.iterations <= self.fired

    def plan(self, now: datetime) -> None:
        """Set what follows from when it is to run, as of now; nothing is written."""
        self.error, self.finished_at, self.behind_until = "", None, None
        if not self.enabled:
            self.next_run, self.due_at = None, not_planned()
            return
        planned = None if self.is_used_up else self._first_run(clock.as_aware(now))
        if planned is None:
            self.finish(now)
        else:
            self.next_run = self.due_at = clock.as_stored(planned)

    def finish(self, now: datetime) -> None:
        """Its iterations, or its time, are used up; nothing is written."""
        self.enabled, self.finished_at, self.next_run = False, now, None
        self.behind_until = None
        self.due_at = clock.as_stored(FAR_FUTURE)

    def _first_run(self, now: datetime) -> datetime | None:
        if self.wait_for_schedule or self.last_run:
            return self.next_after(now)
        first = max(now, clock.as_aware(self.start_running)) if self.start_running else now
        return first if self._is_before_end(first) else None

    def _is_before_end(self, moment: datetime) -> bool:
        return self.end_running is None or moment < clock.as_aware(self.end_running)

    def _next_if_planned(self, moment: datetime) -> datetime | None:
        """What is planned already, which may be no time of its timetable."""
        if self.next_run is None or "next_run" in self._changed():
            return None
        planned = clock.as_aware(self.next_run)
        return planned if planned > moment and not self._changed() & TIMING else None

    def _most_upcoming(self, n: int) -> int:
        return min(n, max(0, self.iterations - self.fired)) if self.iterations else n

    # Validate and save.

    def full_clean(
        self,
        exclude: Iterable[str] | None = None,
        validate_unique: bool = True,
        validate_constraints: bool = True,
    ) -> None:
        """As Django's, and refuse to enable what would not fire even once."""
        super().full_clean(exclude, validate_unique, validate_constraints)
        if self._state.adding or "enabled" in self._changed():
            self._refuse_to_begin_in_vain(clock.read(connections[self._alias()]))

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """As Django's, and what may be written in other ways is put into one."""
        schedule_validation.normalise(self)
        super().clean_fields(exclude)

    def clean(self) -> None:
        """Refuse, by field, what could never run; of a stored row, what has changed."""
        changed = self._changed()
        if self.enabled and "enabled" in changed:  # it may have been broken for long
            changed |= {*CALL, *TIMING}
        schedule_validation.refuse(self, changed)

    def columns(self, using: str | None = None) -> dict[str, Any]:
        """
        All its columns but the id, validated and planned, for whoever writes them in another way;
        raise ValidationError as ``save`` does. Whether the label is free is not asked, and one
        that is over is disabled, and not refused.
        """
        self._make_ready(using or self._alias(), self._changed(), adding=True, anew=False)
        names = [field.attname for field in self._meta.concrete_fields if not field.primary_key]
        return {name: getattr(self, name) for name in names}

    def _alias(self) -> str:
        return router.db_for_write(type(self), instance=self)

    def _make_ready(
        self, alias: str, changed: set[str], *, adding: bool, anew: bool = True
    ) -> bool:
        """
        Validate it, and plan it if need be; whether that was so. One that is not made ``anew`` may
        have a label that there is, and be over.
        """
        now = clock.read(connections[alias])
        self.modified_at = now
        if adding:
            self.created_at = now
        names = {field.name for field in self._meta.concrete_fields}
        if changed:
            exclude = {"id", *(names - changed)}
            super().full_clean(exclude, validate_unique=anew, validate_constraints=False)
        if "next_run" in changed and self.next_run and self.enabled:
            self.due_at, self.behind_until = self.next_run, None
            return True
        if not adding and not self._needs_a_plan(changed):
            return False
        if anew and (adding or "enabled" in changed):
            self._refuse_to_begin_in_vain(now)
        self.plan(now)
        return True

    def _refuse_to_begin_in_vain(self, now: datetime) -> None:
        """Refuse to enable what would not fire even once."""
        if not self.enabled:
            return
        if self.is_used_up:
            raise schedule_validation.refusal(
                "iterations",
                f"It has fired as often as it may ({self.fired}): raise its iterations, or make "
                "them 0.",
            )
        if self._first_run(clock.as_aware(now)) is None:
            raise self._never()

    def is_over(self) -> bool:
        """Whether its end leaves no planned time, by the database's clock."""
        if self.end_running is None:
            return False
        return self._first_run(clock.as_aware(clock.read(connections[self._alias()]))) is None

    def _never(self) -> ValidationError:
        """Why there is no planned time at all."""
        if self.end_running:
            return schedule_validation.refusal(
                "end_running", "There is no planned time before its end."
            )
        name = "start_running" if self.start_running else "cron" if self.cron else "interval"
        return schedule_validation.refusal(
            name, "There is no planned time before the end of the calendar."
        )

    def _needs_a_plan(self, changed: set[str]) -> bool:
        more = "iterations" in changed and (self.is_used_up or self.finished_at is not None)
        if more and not self.is_used_up and self.finished_at:
            self.enabled = True
        return more or bool(changed & TIMING) or "enabled" in changed


class Firing(models.Model):
    """That a schedule has fired for a planned time, and the run that this made."""

    id = models.BigAutoField(primary_key=True)
    schedule = models.ForeignKey(
        Schedule, on_delete=models.CASCADE, related_name="firings", verbose_name=_("schedule")
    )
    planned_at = models.DateTimeField(_("planned at"))
    fired_at = models.DateTimeField(_("fired at"))
    # Without a foreign key: the run may be pruned before.
    run = models.UUIDField(_("run"), null=True, db_index=True)

    class Meta:
        verbose_name = _("firing")
        verbose_name_plural = _("firings")
        constraints = (
            models.UniqueConstraint(
                name="taskworks_firing_once", fields=["schedule", "planned_at"]
            ),
        )

    def __str__(self) -> str:
        return f"{self.schedule_id} at {self.planned_at:%Y-%m-%d %H:%M:%S %Z}"
