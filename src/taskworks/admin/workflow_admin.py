"""Workflows in the admin: how far each one is, its steps, and what these wait for."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from taskworks.actions import workflow_actions, workflows_shown
from taskworks.actions.run_actions import Answer, Verdict
from taskworks.actions.workflows_shown import Counts, StepShown, WorkflowShown
from taskworks.admin.change_lists import CarefulChangeList
from taskworks.admin.links import link
from taskworks.admin.page_actions import PageActions
from taskworks.admin.run_admin import ReadOnlyAdmin, as_json
from taskworks.dashboard.workflow_graph import graph
from taskworks.durations import localized
from taskworks.models import RunState, Workflow
from taskworks.store import store
from taskworks.workflows.workflow_result import WorkflowStatus, status_of_row

COUNTS = "_counts"  # the attribute of a row on a page of the list
SHOWN = "_shown"  # the attribute of the row of a page
ROWS_PER_PAGE = 20  # because the runs of unfinished ones are counted
MAX_PER_ACTION = 100
CAN_BE_RETRIED = (RunState.FAILED, RunState.CANCELLED)


class WorkflowList(CarefulChangeList):
    """Counts the runs of all workflows on the page together."""

    def get_queryset(self, *args: Any, **options: Any) -> Any:
        rows: Any = super().get_queryset(*args, **options)
        return rows.filter(parent=None).defer("metadata")

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        counts = workflows_shown.counts_of_unfinished(store(), self.result_list)
        for row in self.result_list:
            row.__dict__[COUNTS] = counts.get(row.id)

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> Any:
        """Return the list's own order, whatever the URL asks for: others would sort every row."""
        return self.model_admin.get_ordering(request)


class StatusFilter(admin.SimpleListFilter):
    """Filters by the status of a workflow."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, status.value) for status in WorkflowStatus]

    def queryset(
        self, request: HttpRequest, queryset: models.QuerySet[Any]
    ) -> models.QuerySet[Any]:
        try:
            status = WorkflowStatus(self.value() or "")
        except ValueError:
            return queryset
        return queryset.filter(**workflows_shown.lookups_of(status))


@admin.register(Workflow)
class WorkflowAdmin(PageActions, ReadOnlyAdmin):
    """Lists workflows that are in no other one; each has a page, those within others as well."""

    list_display = ("name", "status", "progress", "created_at", "finished_at", "id")
    list_filter = (StatusFilter,)
    list_per_page = ROWS_PER_PAGE
    list_max_show_all = ROWS_PER_PAGE
    ordering = ("-id",)
    search_fields = ("name",)
    search_help_text = "The complete name or id of a workflow"
    actions = ("retry", "cancel")
    fieldsets = (
        (None, {"fields": ("id", "name", "status", "progress", "counts", "within")}),
        ("Steps", {"fields": ("steps", "graph")}),
        ("More", {"fields": ("on_failure", "backend", "owner", "metadata_shown")}),
        ("Times", {"fields": ("created_at", "closed_at", "stopping_at", "finished_at")}),
    )
    readonly_fields = (
        *("id", "name", "status", "progress", "counts", "within", "steps", "graph", "on_failure"),
        *("backend", "owner", "metadata_shown"),
        *("created_at", "closed_at", "stopping_at", "finished_at"),
    )

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[CarefulChangeList]:
        return WorkflowList

    def get_search_results(
        self, request: HttpRequest, queryset: models.QuerySet[Any], search_term: str
    ) -> tuple[models.QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            return queryset.filter(id=UUID(term)), False
        except ValueError:
            return queryset.filter(name=term), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.retry_from_view)
        name = self._url_name("retry_from")
        return [path("<path:object_id>/retry-from/", view, name=name), *super().get_urls()]

    # Actions.

    def applies(self, action: str, row: Workflow) -> bool:
        match action:
            case "retry":
                return row.outcome != RunState.SUCCESSFUL and row.stopping_at is None
            case "cancel":
                return row.finished_at is None
            case _:
                return True

    @admin.action(description="Retry selected workflows", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: models.QuerySet[Workflow]) -> None:
        def retry(row: Workflow) -> Answer:
            verdict, reason, _ = workflow_actions.retry(row)
            return Answer(verdict, reason)

        self._answer(request, queryset, retry)

    @admin.action(description="Cancel selected workflows", permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: models.QuerySet[Workflow]) -> None:
        self._answer(request, queryset, workflow_actions.cancel)

    def _answer(
        self,
        request: HttpRequest,
        queryset: models.QuerySet[Workflow],
        act: Callable[[Workflow], Answer],
    ) -> None:
        selected = list(queryset.only("id", "backend")[: MAX_PER_ACTION + 1])
        answers = Counter(act(row) for row in selected[:MAX_PER_ACTION])
        for (verdict, reason), count in answers.items():
            level = messages.WARNING if verdict == Verdict.NOT_APPLICABLE else messages.SUCCESS
            what = f"{count} workflow{'' if count == 1 else 's'}"
            self.message_user(request, f"{what}: {verdict}. {reason}".strip(), level)
        if len(selected) > MAX_PER_ACTION:
            self.message_user(
                request,
                f"Only the first {MAX_PER_ACTION} of the selected workflows were handled. Repeat "
                "the action for the others.",
                messages.WARNING,
            )

    @method_decorator(require_POST)
    def retry_from_view(self, request: HttpRequest, object_id: str) -> Any:
        """Retry a step and what follows it, and show the page again."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404(f"There is no workflow {object_id!r}.")
        if not self.has_change_permission(request):
            raise PermissionDenied
        step, again = request.POST.get("step"), False
        if step is None:
            step, again = request.POST.get("again_from"), True
        if step is None:
            raise Http404("The request does not name a step.")
        self._retry_from(request, row, step, again=again)
        return HttpResponseRedirect(self._page_to_return_to(request, row))

    def _retry_from(self, request: HttpRequest, row: Workflow, step: str, *, again: bool) -> None:
        try:
            verdict, reason, runs = workflow_actions.retry(row, step, again=again)
        except LookupError as error:
            self.message_user(request, str(error), messages.WARNING)
            return
        if verdict is Verdict.NOT_APPLICABLE:
            self.message_user(request, f"{verdict.capitalize()}. {reason}", messages.WARNING)
        else:
            number = f"{runs} run{'' if runs == 1 else 's'}"
            self.message_user(request, f"{number} {verdict}, from the step {step!r} on.")

    def _page_to_return_to(self, request: HttpRequest, row: Workflow) -> str:
        """Return the page with the button, which may be that of a workflow that this is within."""
        try:
            page = UUID(request.GET.get("page", ""))
        except ValueError:
            page = row.pk
        return self._address("change", page)

    # Columns of the list, and fields of the page.

    @admin.display(description="status")
    def status(self, row: Workflow) -> SafeString:
        return _state(status_of_row(row))

    @admin.display(description="progress")
    def progress(self, row: Workflow) -> str:
        counts: Counts | None
        counts = row.__dict__[COUNTS] if COUNTS in row.__dict__ else _shown(row).counts
        if counts is None:
            return self.get_empty_value_display()
        return workflows_shown.progress_of(counts).in_words

    @admin.display(description="runs")
    def counts(self, row: Workflow) -> str:
        counted = ((number, _state(state)) for state, number in sorted(_shown(row).counts.items()))
        shown = format_html_join(", ", "{} {}", counted)
        return shown or self.get_empty_value_display()

    @admin.display(description="within")
    def within(self, row: Workflow) -> str:
        """Return a link to the workflow that it is a step of."""
        parent = row.parent and store().workflows.filter(id=row.parent).first()
        if not parent:
            return self.get_empty_value_display()
        return link(self.admin_site, "workflow", parent.id, parent.name)

    @admin.display(description="metadata")
    def metadata_shown(self, row: Workflow) -> SafeString:
        return as_json(row.metadata)

    @admin.display(description="graph")
    def graph(self, row: Workflow) -> str:
        steps = _shown(row).steps
        return graph(steps, self._addresses(steps)) or self.get_empty_value_display()

    @admin.display(description="steps")
    def steps(self, row: Workflow) -> str:
        """Return the steps as a list, those within a step inside it, each with its button."""
        shown = _shown(row)
        if not shown.steps:
            return self.get_empty_value_display()
        items = format_html_join("", "{}", ((item,) for item in self._items(row, shown)))
        note = format_html("<p>{}</p>", shown.note) if shown.note else ""
        return format_html('<ul class="taskworks-steps">{}</ul>{}', items, note)

    def _items(self, row: Workflow, shown: WorkflowShown) -> Iterator[SafeString]:
        addresses = self._addresses(shown.steps)
        can_change = row.__dict__.get("_can_change", False)
        for step in shown.steps:
            address = addresses.get(step.id)
            name = format_html('<a href="{}">{}</a>', address, step.name)
            yield format_html(
                '<li class="taskworks-depth-{}"><span>{}</span> {}<span>{}{}</span> {}</li>',
                step.depth,
                name if address else step.name,
                _state(step.state or "deleted"),
                _facts(step),
                f". {step.waits_for}" if step.waits_for else "",
                self._button(row, step) if can_change else "",
            )

    def _button(self, row: Workflow, step: StepShown) -> str:
        """Return a button of the page's own form, which has a CSRF token."""
        if row.stopping_at and not row.finished_at:
            return ""
        can_be_retried = step.state in CAN_BE_RETRIED
        if not can_be_retried and step.state != RunState.SUCCESSFUL:
            return ""
        address = self._address("retry_from", step.workflow)
        return format_html(
            '<button type="submit" formaction="{}?page={}" formmethod="post" name="{}" value="{}">'
            "{}</button>",
            address,
            row.pk,
            "step" if can_be_retried else "again_from",
            step.name,
            "Retry from here" if can_be_retried else "Run again from here",
        )

    def _addresses(self, steps: Any) -> Mapping[UUID, str]:
        """Return the addresses of the pages of these steps, as far as this site has them."""
        found = {}
        for step in steps:
            model = "taskrun" if step.kind == workflows_shown.RUN else "workflow"
            if step.kind == workflows_shown.GONE:
                continue
            try:
                name = f"admin:taskworks_{model}_change"
                site = self.admin_site.name
                found[step.id] = reverse(name, args=[quote(step.id)], current_app=site)
            except NoReverseMatch:
                continue
        return found

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **more: Any
    ) -> Any:
        if row := context.get("original"):
            row.__dict__["_can_change"] = self.has_change_permission(request)
        return super().render_change_form(request, context, *args, **more)


def _shown(row: Workflow) -> WorkflowShown:
    """Return the workflow with its steps, which are read once for a page."""
    if SHOWN not in row.__dict__:
        row.__dict__[SHOWN] = workflows_shown.shown(store(), row)
    shown: WorkflowShown = row.__dict__[SHOWN]
    return shown


def _state(state: str) -> SafeString:
    return format_html('<span class="taskworks-{}">{}</span>', state, state.capitalize())


def _facts(step: StepShown) -> str:
    """Return how far a group or workflow is, or how long a run has taken."""
    if step.progress:
        return f", {step.progress.in_words}"
    if step.started_at and step.finished_at:
        return f", {localized(step.finished_at - step.started_at, decimals=3)}"
    return ""
