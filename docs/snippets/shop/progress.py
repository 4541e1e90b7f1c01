from django.http import HttpRequest, JsonResponse

from shop.imports import import_orders


def progress(request: HttpRequest, result_id: str) -> JsonResponse:
    result = import_orders.get_result(result_id)
    return JsonResponse(
        {
            "status": result.status,
            "progress": result.progress,
            "target": result.target,
            "messages": [f"{message.level}: {message.text}" for message in result.messages],
        }
    )
