from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from sourcestats import surveying
from sourcestats.models import Survey

MAX_SURVEYS = 20


@require_http_methods(["GET", "HEAD", "POST"])
def surveys(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return redirect(surveying.start(Path(settings.SURVEYED_SOURCE)))
    latest = Survey.objects.all()[:MAX_SURVEYS]
    return render(
        request,
        "sourcestats/surveys.html",
        {"surveys": latest, "source": settings.SURVEYED_SOURCE},
    )


@require_safe
def survey(request: HttpRequest, pk: int) -> HttpResponse:
    survey = get_object_or_404(Survey, pk=pk)
    progress = surveying.progress_of(survey)
    can_be_summed_up = progress.is_over and not survey.summary_run_id
    context = {
        "survey": survey,
        "progress": progress,
        "summary": surveying.summary_of(survey),
        "summary_failure": surveying.summary_failure_of(survey),
        "failures": surveying.failures_of(survey),
        "can_be_summed_up": can_be_summed_up,
        "is_running": not (can_be_summed_up or surveying.summary_is_over(survey)),
    }
    return render(request, "sourcestats/survey.html", context)


@require_POST
def summary(request: HttpRequest, pk: int) -> HttpResponse:
    survey = get_object_or_404(Survey, pk=pk)
    if surveying.progress_of(survey).is_over:
        surveying.enqueue_summary(survey)
    return redirect(survey)
