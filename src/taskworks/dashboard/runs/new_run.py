"""Start a task from a form: the list of tasks, and the form of one."""

import inspect
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _

from taskworks.actions import audit
from taskworks.dashboard.access import Action
from taskworks.dashboard.page import Page
from taskworks.dashboard.runs.acting import forget
from taskworks.dashboard.runs.form_page import FormPage
from taskworks.dashboard.runs.startable_tasks import startable, startable_task
from taskworks.dashboard.runs.task_forms import TaskForm, form_of
from taskworks.exceptions import AlreadyEnqueued, InvalidInputs, InvalidTask
from taskworks.stand_ins import as_our_task

MAX_LISTED = 200
MAX_DESCRIPTION = 300  # characters, in the list


class Listed(NamedTuple):
    """A task in the list."""

    path: str
    address: str
    description: str
    queue: str


class NewRunPage(Page):
    entry = "new_run"
    action = Action.RUN
    template = "runs/new.html"

    def title(self) -> str:
        return _("New run")

    def context(self, **ids: Any) -> Mapping[str, Any]:
        typed = self.request.GET.get("q", "").strip()
        tasks = startable(self.access)
        found = [path for path in tasks if typed.lower() in path.lower()]
        return {
            "typed": typed,
            "tasks": [self._listed(path, tasks[path]) for path in found[:MAX_LISTED]],
            "more": max(0, len(found) - MAX_LISTED),
        }

    def _listed(self, path: str, task: Any) -> Listed:
        description = description_of(task).partition("\n\n")[0].replace("\n", " ")
        where = self.address("new_run_of", path)
        return Listed(path, where, description[:MAX_DESCRIPTION], task.queue_name)


class Options(NamedTuple):
    """What is entered for how the run is enqueued, as texts."""

    queue: str = ""
    priority: str = ""
    start: str = ""

    def changes(self) -> dict[str, Any]:
        """Return what using() is given; raise ValueError for what cannot be read."""
        changes: dict[str, Any] = {}
        if self.queue.strip():
            changes["queue_name"] = self.queue.strip()
        if self.priority.strip():
            changes["priority"] = _integer(self.priority)
        if self.start.strip():
            changes["run_after"] = _moment(self.start)
        return changes


class NewRunOfTaskPage(FormPage):
    entry = "new_run"
    action = Action.RUN
    template = "runs/new_of_task.html"
    path: str

    def title(self) -> str:
        return self.path

    def context(self, **ids: Any) -> Mapping[str, Any]:
        task = self._task(ids["path"])
        return self._context_of(task, form_of(task), Options())

    def post(self, request: HttpRequest, *, path: str, **ids: Any) -> HttpResponse:
        task = self._task(path)
        form = form_of(task).bound(request.POST)
        options = Options(*(request.POST.get(name, "") for name in ("queue", "priority", "start")))
        problems: list[str] = []
        try:
            args, kwargs = form.arguments()
            result = as_our_task(task).using(**options.changes()).enqueue(*args, **kwargs)
        except InvalidInputs as error:
            form, problems = form.with_errors(error.errors)
        except (AlreadyEnqueued, InvalidTask, TypeError, ValueError) as error:
            problems = [str(error)]
        else:
            return self._started(path, result)
        return self.again(self._context_of(task, form, options, problems))

    def _task(self, path: str) -> Any:
        self.path = path
        try:
            return startable_task(path, self.access)
        except ValueError as error:
            raise Http404(str(error)) from None

    def _started(self, path: str, result: Any) -> HttpResponse:
        audit.record(self.actor, f"start {path}", run=result.id)
        forget()
        if result.is_new is False:
            said = _("Nothing was started: this run has the same unique key.")
            messages.warning(self.request, said, fail_silently=True)
        else:
            messages.success(self.request, _("The run was enqueued."), fail_silently=True)
        return HttpResponseRedirect(self.address("run", result.id))

    def _context_of(
        self, task: Any, form: TaskForm, options: Options, problems: list[str] | None = None
    ) -> dict[str, Any]:
        return {
            "task": task,
            "description": description_of(task),
            "form": form,
            "options": options,
            "problems": problems or [],
        }


def description_of(task: Any) -> str:
    """Return what is said of a task where it is defined."""
    typed = getattr(task, "typed", None)
    said = typed.description if typed and typed.description else task.func.__doc__
    return inspect.cleandoc(said) if isinstance(said, str) else ""


def _integer(text: str) -> int:
    try:
        return int(text[:20])
    except ValueError:
        said = _("The priority is a whole number, not %(text)s.")
        raise ValueError(said % {"text": repr(text[:20])}) from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip()[:50])
        if timezone.is_naive(moment) and settings.USE_TZ:
            moment = timezone.make_aware(moment)
    except (ValueError, OverflowError):
        said = _("The start is a date and time such as 2026-12-24T18:30, not %(text)s.")
        raise ValueError(said % {"text": repr(text[:50])}) from None
    return moment
