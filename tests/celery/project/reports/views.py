from celery.result import AsyncResult
from django.http import JsonResponse
from django.views.decorators.http import require_POST

from reports.tasks import export_orders


@require_POST
def export(request):
    result = export_orders.delay(state=request.POST.get("state"))
    return JsonResponse({"id": result.id}, status=202)


def progress(request, task_id):
    result = AsyncResult(task_id)
    if result.failed():
        return JsonResponse({"state": result.state, "error": str(result.result)}, status=500)
    return JsonResponse({"state": result.state, "info": result.info, "ready": result.ready()})
