"""Run a task again with other arguments: a new run, and what differs is kept with both."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _

from taskworks.actions.changed_retry import retry_with
from taskworks.dashboard.access import Action
from taskworks.dashboard.redaction import redacted
from taskworks.dashboard.runs.acting import forget
from taskworks.dashboard.runs.form_page import FormPage
from taskworks.dashboard.runs.run_page import run_with
from taskworks.dashboard.runs.task_forms import TaskForm, form_of_call
from taskworks.database.fields import Unreadable
from taskworks.discovery import resolve
from taskworks.exceptions import (
    AlreadyEnqueued,
    InvalidInputs,
    InvalidTask,
    InvalidTaskBackend,
    TaskNotFound,
)
from taskworks.models import TaskRun


class ChangedRunPage(FormPage):
    entry = "runs"
    action = Action.RUN
    template = "runs/changed.html"
    run: TaskRun

    def title(self) -> str:
        return _("Run again with changes")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        try:
            return self._context_of(self._form(ids["run_id"]))
        except ValueError as error:
            return self._context_of(None, [str(error)])

    def post(self, request: HttpRequest, *, run_id: UUID, **ids: Any) -> HttpResponse:
        try:
            form = self._form(run_id).bound(request.POST)
        except ValueError as error:
            return self.again(self._context_of(None, [str(error)]))
        try:
            args, kwargs = form.arguments()
            result = retry_with(self.run, args, kwargs, by=self.actor)
        except InvalidInputs as error:
            return self.again(self._context_of(*form.with_errors(error.errors)))
        except (AlreadyEnqueued, InvalidTask, InvalidTaskBackend, TypeError, ValueError) as error:
            return self.again(self._context_of(form, [str(error)]))
        forget()
        said = _("The run was enqueued with the changed arguments.")
        messages.success(request, said, fail_silently=True)
        return HttpResponseRedirect(self.address("run", result.id))

    def _form(self, run_id: UUID) -> TaskForm:
        """Return the form with the arguments of the run; raise ValueError if it has none."""
        self.run = run = run_with(run_id, self.access)
        if not (self.access.may(Action.RUN, run) and self.access.may(Action.SEE_ARGUMENTS, run)):
            raise PermissionDenied(_("You may not see the arguments of this run, or not start it."))
        if isinstance(run.args, Unreadable) or isinstance(run.kwargs, Unreadable):
            raise ValueError(_("Its arguments are not what Taskworks would write."))
        try:
            task = resolve(run.task_path)
        except (TaskNotFound, InvalidTask) as error:
            raise ValueError(str(error)) from None
        shown = redacted(run, "args"), redacted(run, "kwargs")
        return form_of_call(task, run.args, run.kwargs, shown)

    def _context_of(
        self, form: TaskForm | None, problems: list[str] | None = None
    ) -> dict[str, Any]:
        return {"run": self.run, "form": form, "problems": problems or []}
