from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
@login_required
def tasks(request: HttpRequest) -> HttpResponse:
    """Start a task and watch it; `?run=` names the run, so that it survives a reload."""
    return render(request, "typedtasks/tasks.html", {"run": request.GET.get("run", "")})
