from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from shop.importing import import_file


@login_required
def start_import(request: HttpRequest) -> HttpResponse:
    result = import_file("/srv/uploads/products.csv", request.user)
    return redirect("watch-import", workflow_id=result.id)


@login_required
def watch_import(request: HttpRequest, workflow_id: str) -> HttpResponse:
    return render(request, "watch_import.html", {"workflow": workflow_id})
