"""Schedules in the admin: added, changed, enabled, disabled, and run now."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from taskworks.actions import audit, schedule_actions
from taskworks.admin.links import link
from taskworks.admin.one_database import OneDatabase
from taskworks.admin.page_actions import PageActions
from taskworks.admin.schedule_form import OPTIONS, ScheduleForm
from taskworks.backends.shards import elsewhere
from taskworks.models import TaskRun
from taskworks.models.schedule import Schedule
from taskworks.schedules import sync

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Schedule]
else:
    _ModelAdmin = admin.ModelAdmin

MAX_SCHEDULES_PER_ACTION = 1_000
UPCOMING_TIMES = 10  # shown on the page of a schedule
LATEST_FIRINGS = 20  # shown there

WHEN = (
    "cron",
    "interval",
    "timezone",
    "start_running",
    "end_running",
    "wait_for_schedule",
    "iterations",
    "jitter",
)
CALL = ("args", "kwargs", "userdata", *OPTIONS)
ADDED = (
    (None, {"fields": ("label", "callable", "enabled")}),
    ("When", {"fields": WHEN}),
    ("If it is late, or still running", {"fields": ("catch_up", "overlap")}),
    ("What it is called with", {"fields": CALL}),
)
CHANGED = (
    (None, {"fields": ("label", "callable_shown", "enabled", "state_shown", "declared_shown")}),
    ("When", {"fields": (*WHEN, "in_words_shown", "upcoming_shown")}),
    ("If it is late, or still running", {"fields": ("catch_up", "overlap")}),
    ("What it is called with", {"fields": (*CALL, "options_shown")}),
    ("Runs", {"fields": ("last_run", "next_run", "fired", "firings_shown")}),
    ("Times", {"fields": ("created_at", "modified_at", "finished_at")}),
)
SHOWN = (
    "callable_shown",
    "state_shown",
    "declared_shown",
    "in_words_shown",
    "upcoming_shown",
    "options_shown",
    "last_run",
    "next_run",
    "fired",
    "firings_shown",
    "created_at",
    "modified_at",
    "finished_at",
)


class StateFilter(admin.SimpleListFilter):
    """Filters by whether schedules fire, and why not."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("enabled", "enabled"),
            ("unable", "cannot fire"),
            ("disabled", "disabled"),
            ("finished", "finished"),
        ]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        match self.value():
            case "enabled":
                return queryset.filter(enabled=True)
            case "unable":
                return queryset.filter(enabled=True).exclude(error="")
            case "disabled":
                return queryset.filter(enabled=False, finished_at=None)
            case "finished":
                return queryset.exclude(finished_at=None)
            case _:
                return queryset


@admin.register(Schedule)
class ScheduleAdmin(OneDatabase, PageActions, _ModelAdmin):
    form = ScheduleForm
    list_display = ("label", "state_shown", "when_shown", "next_run", "last_run", "path")
    list_filter = (StateFilter, "kind")
    search_fields = ("label", "path")
    ordering = ("label",)
    actions = ("enable", "disable", "run_now")

    class Media:
        css = {"all": ["taskworks/admin.css"]}  # noqa: RUF012 - as Django has it

    def get_fieldsets(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        return CHANGED if obj else ADDED

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        """Return what is only shown: the label too if code declares it, which finds it by that."""
        if obj is None:
            return ()
        return (*SHOWN, "label") if obj.declared else SHOWN

    def get_form(
        self,
        request: HttpRequest,
        obj: Schedule | None = None,
        change: bool = False,
        **options: Any,
    ) -> Any:
        # The form has fields that are not columns, for which the admin must not look.
        options["fields"] = [
            name
            for name in ScheduleForm.Meta.fields
            if name not in self.get_readonly_fields(request, obj)
        ]
        return super().get_form(request, obj, change, **options)

    # A new one is where its runs are, which may be another database than that shown here.

    def log_addition(self, request: HttpRequest, obj: Schedule, message: Any) -> Any:
        if elsewhere(obj):
            return audit.record_of(audit.actor_of(request.user), obj, "added")
        return super().log_addition(request, obj, message)

    def response_add(
        self, request: HttpRequest, obj: Schedule, post_url_continue: str | None = None
    ) -> HttpResponse:
        alias = elsewhere(obj)
        if alias is None:
            return super().response_add(request, obj, post_url_continue)
        added = (
            f"The schedule {obj.label!r} was added in the database {alias!r}, which has its runs "
            "and is not shown here."
        )
        self.message_user(request, added, messages.SUCCESS)
        return self.response_post_save_add(request, obj)

    # Actions.

    def applies(self, action: str, row: Schedule) -> bool:
        match action:
            case "enable":
                return not row.enabled
            case "disable":
                return row.enabled
            case _:
                return True

    @admin.action(description="Enable selected schedules", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        self._answer(request, queryset, schedule_actions.enable)

    @admin.action(description="Disable selected schedules", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        self._answer(request, queryset, schedule_actions.disable)

    @admin.action(description="Run selected schedules now", permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> None:
        self._answer(request, queryset, schedule_actions.run_now)

    def _answer(
        self,
        request: HttpRequest,
        queryset: models.QuerySet[Any],
        act: Callable[[Schedule], str],
    ) -> None:
        done: Counter[str] = Counter()
        for schedule in queryset[:MAX_SCHEDULES_PER_ACTION]:
            try:
                done[act(schedule).partition(" as run ")[0]] += 1
            except schedule_actions.NotApplicable as reason:
                self.message_user(request, f"{schedule.label}: {reason}", messages.WARNING)
        for verdict, count in done.items():
            self.message_user(request, f"{_schedules(count)}: {verdict}.", messages.SUCCESS)

    # Columns of the list, and fields of the page.

    @admin.display(description="callable")
    def callable_shown(self, schedule: Schedule) -> str:
        of = f" of {schedule.object_pk}" if schedule.object_pk is not None else ""
        return f"{schedule.path}{of} ({schedule.get_kind_display()})"

    @admin.display(description="when", ordering="cron")
    def when_shown(self, schedule: Schedule) -> str:
        return format_html(
            '<span class="taskworks-when">{}</span>', schedule_actions.when(schedule)
        )

    @admin.display(description="state")
    def state_shown(self, schedule: Schedule) -> str:
        return schedule_actions.state(schedule)

    @admin.display(description="declared in code")
    def declared_shown(self, schedule: Schedule) -> str:
        if not schedule.declared:
            return "no"
        if sync.is_withdrawn(schedule):
            return "not any more"
        changed = "; ".join(schedule_actions.changed(schedule))
        return f"yes, but changed since: {changed}" if changed else "yes, unchanged"

    @admin.display(description="in words")
    def in_words_shown(self, schedule: Schedule) -> str:
        return schedule_actions.in_words(schedule)

    @admin.display(description="upcoming")
    def upcoming_shown(self, schedule: Schedule) -> str:
        try:
            times = schedule.upcoming(UPCOMING_TIMES)
        except ValueError as error:
            return str(error)
        if not times:
            return self.get_empty_value_display()
        rows = ((_moment(planned),) for planned in times)
        return format_html_join("", "<div>{}</div>", rows)

    @admin.display(description="options of its runs")
    def options_shown(self, schedule: Schedule) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(schedule.options, indent=2))

    @admin.display(description="latest firings")
    def firings_shown(self, schedule: Schedule) -> str:
        alias = schedule._state.db
        firings = list(schedule.firings.using(alias).order_by("-planned_at")[:LATEST_FIRINGS])
        if not firings:
            return self.get_empty_value_display()
        ids = [firing.run for firing in firings if firing.run]
        runs = TaskRun.objects.using(alias).filter(id__in=ids).in_bulk()
        rows = (
            (_moment(_here(firing.planned_at)), self._run(runs, firing.run)) for firing in firings
        )
        return format_html_join("", "<div>{}: {}</div>", rows)

    def _run(self, runs: dict[Any, TaskRun], run_id: Any) -> str:
        if run_id is None:
            return "no run"
        run = runs.get(run_id)
        if run is None:
            return f"{run_id}, deleted"
        to_it = link(self.admin_site, "taskrun", run_id, run_id)
        return format_html("{}, {}", to_it, run.get_state_display())


def _here(moment: datetime) -> datetime:
    """Return the moment in the time zone in which the admin shows times."""
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def _moment(planned: datetime) -> str:
    return f"{planned:%a %Y-%m-%d %H:%M:%S %Z}"


def _schedules(count: int) -> str:
    return f"{count} schedule{'' if count == 1 else 's'}"
