"""Runs and workers in the admin: read only, with actions that retry and cancel runs."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from taskworks.actions import audit, run_actions, steps_shown
from taskworks.actions.run_actions import Answer, Verdict
from taskworks.actions.waiting import why_waiting
from taskworks.addresses import dashboard_address
from taskworks.admin import run_search
from taskworks.admin.change_lists import CarefulChangeList
from taskworks.admin.links import link
from taskworks.admin.one_database import OneDatabase
from taskworks.admin.page_actions import PageActions
from taskworks.admin.run_window import windowed
from taskworks.backends.database import database_backends
from taskworks.database.clock import DatabaseClock
from taskworks.database.fields import Unreadable
from taskworks.durations import localized
from taskworks.filtering.sources import ended
from taskworks.jsonvalue import printable
from taskworks.log_lines import LOGGER, lines_of, messages_of
from taskworks.logs import one_line
from taskworks.models import RunState, TaskRun, Worker
from taskworks.models.run import FINISHED, TaskRunQuerySet
from taskworks.reserved_metadata import made_by
from taskworks.store import store
from taskworks.store.census import Working
from taskworks.tracebacks import summary_of

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

STATE = "state__exact"  # the parameter of its filter
# The conditions that the index of what has ended has beside the state.
TIMES = {f"finished_at__{side}" for side in ("gt", "gte", "lt", "lte", "isnull")}
MAX_ROWS_COUNTED = 10_000  # a list is not paged beyond them
MAX_QUEUES_OFFERED = 200  # by the filter, of those with a ready run
MAX_RUNS_PER_ACTION = 1_000
MAX_SUMMARY_LENGTH = 300  # characters of an error; the list shows as many as there is room for
SHORT_ID_LENGTH = 8
BREAKABLE_DOT = mark_safe(".<wbr>")
# Columns that may be large, and that the list does not show.
LARGE_COLUMNS = (
    "args",
    "kwargs",
    "options",
    "worker_ids",
    "return_value",
    "messages",
    "metadata",
)

# What the page of a run shows, by heading.
SECTIONS: dict[str | None, tuple[str, ...]] = {
    None: ("id", "task_shown", "schedule", "arguments", "keyword_arguments"),
    "Outcome": (
        "state_shown",
        "why_waiting",
        "progress_shown",
        "steps_shown",
        "return_value_shown",
        "errors_shown",
        "messages_shown",
        "log_shown",
        "metadata_shown",
    ),
    "Attempts": ("attempts", "failures", "crashes", "workers", "claimed_by", "duration"),
    "How it was enqueued": (
        "backend",
        "queue_name",
        "priority",
        "owner",
        "limit_name",
        "lane",
        "executor",
        "run_after",
        "expires_at",
        "at_most_once",
        "options_shown",
    ),
    "Times": (
        "enqueued_at",
        "available_at",
        "claimed_at",
        "started_at",
        "last_attempted_at",
        "missing_since",
        "cancel_requested_at",
        "finished_at",
    ),
}


class AtLeast(int):
    """A number of rows beyond which there are more that were not counted: "10000+"."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class BoundedPaginator(Paginator):
    """Counts up to MAX_ROWS_COUNTED rows: to count them all is to read them all."""

    @cached_property
    def count(self) -> int:
        runs: Any = self.object_list
        some: int = runs.order_by().values("id")[: MAX_ROWS_COUNTED + 1].count()
        return some if some <= MAX_ROWS_COUNTED else AtLeast(MAX_ROWS_COUNTED)


class RunList(CarefulChangeList):
    searched = ""  # a sentence that says which runs, if not all were

    def get_queryset(self, *args: Any, **options: Any) -> Any:
        runs: Any = super().get_queryset(*args, **options)
        shown = runs.defer(*LARGE_COLUMNS)
        if run_search.is_id(self.query):
            return shown
        window = windowed(shown, self._state, is_narrowed=self._is_narrowed)
        self.searched = window.searched
        return window.runs

    @property
    def _is_narrowed(self) -> bool:
        """Whether there are conditions that the index does not have."""
        served = {STATE, *(TIMES if self._state in FINISHED else ())}
        return bool({*self.get_filters_params()} - served or self.query.strip())

    @property
    def _state(self) -> RunState | None:
        """The state of all that are listed, if it is one."""
        [*chosen] = self.filter_params.get(STATE, ())
        return RunState(chosen[0]) if len(chosen) == 1 and chosen[0] in RunState.values else None

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> Any:
        """Return the list's own order, whatever the URL asks for: others would sort every row."""
        return self.model_admin.get_ordering(request)


class StateFilter(admin.SimpleListFilter):
    """Filters by the state, as the index of it has those."""

    title = "state"
    parameter_name = STATE

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return RunState.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        chosen = self.value()
        if chosen is None:
            return queryset
        return (
            ended(queryset, RunState(chosen))
            if chosen in FINISHED
            else queryset.filter(state=chosen)
        )


class KnownFilter(admin.SimpleListFilter):
    """Filters by a column whose values are known without reading the runs."""

    parameter_name: str

    @property
    def known(self) -> Iterable[str]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        chosen = self.value()
        return [(name, name) for name in sorted({*self.known} | ({chosen} if chosen else set()))]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        chosen = self.value()
        return queryset.filter(**{self.parameter_name: chosen}) if chosen else queryset


class BackendFilter(KnownFilter):
    """Offers the backends in TASKS."""

    title = "backend"
    parameter_name = "backend"

    @property
    def known(self) -> Iterable[str]:
        return [backend.alias for backend in database_backends()]


class QueueFilter(KnownFilter):
    """Offers the queues that TASKS names, and the first of those that have a ready run."""

    title = "queue"
    parameter_name = "queue_name"

    @property
    def known(self) -> Iterable[str]:
        for backend in database_backends():
            yield from backend.queues
            yield from store().ready_queues(backend.alias, limit=MAX_QUEUES_OFFERED)
        of_limits = (name.queue for name in store().every_limited_name())
        yield from islice(of_limits, MAX_QUEUES_OFFERED)


class ReadOnlyAdmin(OneDatabase, _ModelAdmin):
    """Adds, changes and deletes nothing; users with the change permission may use the actions."""

    sortable_by = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    class Media:
        css = {"all": ["taskworks/admin.css"]}  # noqa: RUF012 - as Django has it

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(TaskRun)
class TaskRunAdmin(PageActions, ReadOnlyAdmin):
    list_display = (
        "task_shown",
        "state_in_list",
        "error_shown",
        "when_shown",
        "duration",
        "id_shown",
    )
    list_display_links = ("task_shown", "id_shown")
    ordering = ("-id",)  # the newest first, from the primary key
    list_filter = (StateFilter, QueueFilter, BackendFilter, "executor", "finished_at")
    search_fields = ("task_path", "callable_path", "errors")  # see run_search
    search_help_text = run_search.HELP_TEXT
    actions = ("retry", "cancel")
    fieldsets = [(title, {"fields": names}) for title, names in SECTIONS.items()]  # noqa: RUF012
    readonly_fields = tuple(name for names in SECTIONS.values() for name in names)

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[CarefulChangeList]:
        return RunList

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        return run_search.search(cast(TaskRunQuerySet, queryset), search_term), False

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        runs: models.QuerySet[Any] = super().get_queryset(request).annotate(now=DatabaseClock())
        return runs

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        response = super().changelist_view(request, extra_context)
        shown = (getattr(response, "context_data", None) or {}).get("cl")
        if shown is not None and shown.searched:
            further = _("The dashboard searches further.") if dashboard_address(request) else ""
            self.message_user(request, f"{shown.searched} {further}".strip())
        return response

    # Actions.

    def applies(self, action: str, row: TaskRun) -> bool:
        match action:
            case "retry":
                return row.state in (RunState.FAILED, RunState.CANCELLED)
            case "cancel":
                return row.state not in FINISHED
            case _:
                return True

    @admin.action(description="Retry selected task runs", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: TaskRunQuerySet) -> None:
        self._answer(request, queryset, run_actions.retry)

    @admin.action(description="Cancel selected task runs", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: TaskRunQuerySet) -> None:
        self._answer(request, queryset, run_actions.cancel)

    def _answer(
        self, request: HttpRequest, queryset: TaskRunQuerySet, act: Callable[[TaskRun], Answer]
    ) -> None:
        selected = list(queryset.only("id", "backend")[: MAX_RUNS_PER_ACTION + 1])
        answer_of = {run.id: act(run) for run in selected[:MAX_RUNS_PER_ACTION]}
        done = [id_ for id_, (verdict, _) in answer_of.items() if verdict != Verdict.NOT_APPLICABLE]
        audit.record_each(audit.actor_of(request.user), act.__name__, done)
        answers = Counter(answer_of.values())
        for (verdict, reason), count in answers.items():
            level = messages.WARNING if verdict == Verdict.NOT_APPLICABLE else messages.SUCCESS
            sentence = f"{_task_runs(count)}: {verdict}." + (f" {reason}" if reason else "")
            self.message_user(request, sentence, level)
        if len(selected) > MAX_RUNS_PER_ACTION:
            self.message_user(
                request,
                f"Only the first {MAX_RUNS_PER_ACTION} of the selected task runs were handled. "
                "Repeat the action for the others.",
                messages.WARNING,
            )

    # Columns of the list, and fields of the page.

    @admin.display(description="task")
    def task_shown(self, run: TaskRun) -> SafeString:
        """Return the path of what the run calls, which a narrow column breaks after its dots."""
        parts = ((part,) for part in run.called_path.split("."))
        return _with_title(format_html_join(BREAKABLE_DOT, "{}", parts), run.called_path)

    @admin.display(description="state")
    def state_shown(self, run: TaskRun) -> SafeString:
        asked = run.cancel_requested_at and run.state not in FINISHED
        word = f"{run.get_state_display()}{', asked to stop' if asked else ''}"
        return format_html('<span class="taskworks-{}">{}</span>', run.state, word)

    @admin.display(description="state")
    def state_in_list(self, run: TaskRun) -> SafeString:
        """Return the state, and how far a run is that has not ended."""
        if run.progress is None or run.state in FINISHED:
            return self.state_shown(run)
        return format_html("{} {}", self.state_shown(run), self.progress_shown(run))

    @admin.display(description="error")
    def error_shown(self, run: TaskRun) -> str:
        """Return the class and the message of the latest error, in one line."""
        if run.state == RunState.SUCCESSFUL or not run.errors:
            return ""
        entry = run.errors[-1]
        summary = summary_of(entry["exception_class_path"], entry["traceback"])
        line = one_line(summary[:MAX_SUMMARY_LENGTH])
        return _with_title(line, line)

    @admin.display(description="when")
    def when_shown(self, run: TaskRun) -> str:
        """Return when it finished; before that, since when it runs, is due, or waits."""
        match run.state:
            case RunState.SUCCESSFUL | RunState.FAILED | RunState.CANCELLED:
                at, what = run.finished_at, "finished"
            case RunState.RUNNING:
                at, what = run.last_attempted_at, "attempt begun"
            case RunState.SCHEDULED:
                at, what = run.available_at, "due"
            case _:
                at, what = run.enqueued_at, "enqueued"
        return _with_title(_short_time(at), what) if at else self.get_empty_value_display()

    @admin.display(description="id")
    def id_shown(self, run: TaskRun) -> SafeString:
        """Return the end of the id, because the ids of a day begin alike."""
        return _with_title(str(run.id)[-SHORT_ID_LENGTH:], str(run.id))

    @admin.display(description="why it waits")
    def why_waiting(self, run: TaskRun) -> str:
        return why_waiting(run) or self.get_empty_value_display()

    @admin.display(description="progress")
    def progress_shown(self, run: TaskRun) -> str:
        if run.progress is None:
            return self.get_empty_value_display()
        return f"{run.progress}" if run.target is None else f"{run.progress} of {run.target}"

    @admin.display(description="steps")
    def steps_shown(self, run: TaskRun) -> str:
        lines = ((step.in_words,) for step in steps_shown.of(store(), run))
        shown = format_html_join("", "<div>{}</div>", lines)
        return shown or self.get_empty_value_display()

    @admin.display(description="duration")
    def duration(self, run: TaskRun) -> str:
        """Return the time from the start of the latest attempt to the end of the run, or to now."""
        until = run.now if run.state == RunState.RUNNING else run.finished_at  # type: ignore[attr-defined]
        if not run.last_attempted_at or not until:
            return self.get_empty_value_display()
        return localized(until - run.last_attempted_at, decimals=3)

    @admin.display(description="schedule")
    def schedule(self, run: TaskRun) -> str:
        """Return a link to its schedule, which may be deleted, and the planned time."""
        schedule = made_by(run.metadata)
        if not schedule:
            return self.get_empty_value_display()
        to_it = link(self.admin_site, "schedule", schedule.id, schedule.label)
        return format_html("{}, for {}", to_it, _time(schedule.scheduled_for))

    @admin.display(description="arguments")
    def arguments(self, run: TaskRun) -> SafeString:
        return as_json(run.args)

    @admin.display(description="keyword arguments")
    def keyword_arguments(self, run: TaskRun) -> SafeString:
        return as_json(run.kwargs)

    @admin.display(description="return value")
    def return_value_shown(self, run: TaskRun) -> str:
        finished = run.state == RunState.SUCCESSFUL
        return as_json(run.return_value) if finished else self.get_empty_value_display()

    @admin.display(description="metadata")
    def metadata_shown(self, run: TaskRun) -> SafeString:
        return as_json(run.metadata)

    @admin.display(description="options changed by using()")
    def options_shown(self, run: TaskRun) -> SafeString:
        return as_json(run.options)

    @admin.display(description="workers")
    def workers(self, run: TaskRun) -> str:
        return ", ".join(run.worker_ids) or self.get_empty_value_display()

    @admin.display(description="errors")
    def errors_shown(self, run: TaskRun) -> SafeString:
        if isinstance(run.errors, Unreadable):
            return as_json(run.errors)
        return format_html_join(
            "",
            "<h4>Attempt {}: {}</h4><p>{}, {}</p><pre>{}</pre>",
            (
                (
                    entry["attempt"],
                    entry["exception_class_path"],
                    _time(datetime.fromisoformat(entry["at"])),
                    entry["worker_id"] or "no worker",
                    entry["traceback"],
                )
                for entry in run.errors
            ),
        )

    @admin.display(description="messages")
    def messages_shown(self, run: TaskRun) -> SafeString:
        if isinstance(run.messages, Unreadable):
            return as_json(run.messages)
        return format_html_join(
            "",
            "<div>{} {}: {}</div>",
            (
                (_time(datetime.fromisoformat(entry["at"])), entry["level"], entry["text"])
                for entry in messages_of(run.messages)
            ),
        )

    @admin.display(description="log")
    def log_shown(self, run: TaskRun) -> str:
        lines = lines_of(run.messages)
        shown = format_html_join("", "<div>{} {} {}: {}</div>", map(_line, lines))
        return shown or self.get_empty_value_display()


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = (
        "label",
        "hostname",
        "pid",
        "started_at",
        "heartbeat",
        "given_up_at",
        "runs_in_hand",
    )
    ordering = ("-started_at", "id")
    fields = ("id", *list_display)
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        theirs = TaskRun.objects.in_hand().filter(claimed_by=models.OuterRef("id"))
        counted = theirs.order_by().values("claimed_by").annotate(count=models.Count("id"))
        held = models.Subquery(counted.values("count"))
        workers: models.QuerySet[Any] = super().get_queryset(request)
        annotated: models.QuerySet[Any] = workers.annotate(held=held, now=DatabaseClock())
        return annotated

    @admin.display(description="heartbeat", ordering="heartbeat_at")
    def heartbeat(self, worker: Any) -> str:
        silence = max(worker.now - worker.heartbeat_at, timedelta())
        return Working(worker, silence, self.runs_in_hand(worker), worker.busy).outlook

    @admin.display(description="runs in hand")
    def runs_in_hand(self, worker: Any) -> int:
        return worker.held or 0


def as_json(value: Any) -> SafeString:
    """Return JSON as it is shown on a page."""
    if isinstance(value, Unreadable):
        return format_html("<pre>{}</pre>", printable(str(value.text)))
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html("<pre>{}</pre>", printable(text))


def _line(line: dict[str, Any]) -> tuple[str, str, str, str]:
    at = _time(datetime.fromisoformat(line["at"]))
    return at, line["level"], one_line(str(line[LOGGER])), one_line(line["text"])


def _time(at: datetime) -> str:
    try:
        return str(localize(timezone.localtime(at) if timezone.is_aware(at) else at))
    except OverflowError:  # in the first or last day of all
        return at.isoformat()


def _short_time(at: datetime) -> str:
    with suppress(OverflowError):  # in the first or last day of all
        at = timezone.localtime(at) if timezone.is_aware(at) else at
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _with_title(text: str, title: str) -> SafeString:
    return format_html('<span title="{}">{}</span>', title, text)


def _task_runs(count: int) -> str:
    return f"{count} task run{'' if count == 1 else 's'}"
