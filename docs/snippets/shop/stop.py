from django.http import HttpRequest, JsonResponse
from taskworks import default_task_backend


def stop(request: HttpRequest, result_id: str) -> JsonResponse:
    cancelled = default_task_backend.cancel(result_id)
    return JsonResponse({"cancelled": cancelled})
