from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from sourcestats import surveying
from sourcestats.models import Survey
from taskworks.exceptions import WorkflowDoesNotExist

MAX_SURVEYS = 20


@require_http_methods(["GET", "HEAD", "POST"])
def surveys(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return redirect(surveying.start(Path(settings.SURVEYED_SOURCE), owner=request.user))
    latest = Survey.objects.all()[:MAX_SURVEYS]
    return render(
        request,
        "sourcestats/surveys.html",
        {"surveys": latest, "source": settings.SURVEYED_SOURCE},
    )


@require_safe
def survey(request: HttpRequest, pk: int) -> HttpResponse:
    survey = get_object_or_404(Survey, pk=pk)
    try:
        workflow = survey.workflow()
    except WorkflowDoesNotExist:  # it was pruned
        return render(request, "sourcestats/survey.html", {"survey": survey})
    context = {
        "survey": survey,
        "workflow": workflow,
        "steps": workflow.steps(),
        "progress": surveying.progress_of(workflow),
        "summary": surveying.summary_of(workflow),
        "summary_failure": surveying.summary_failure_of(workflow),
        "failures": surveying.failures_of(workflow),
        "is_running": not workflow.is_finished,
    }
    return render(request, "sourcestats/survey.html", context)
