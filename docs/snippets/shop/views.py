from django.http import HttpRequest, JsonResponse

from shop.fetching import wait_a_little


async def start(request: HttpRequest) -> JsonResponse:
    result = await wait_a_little.aenqueue(0.1)
    return JsonResponse({"id": result.id})


async def look(request: HttpRequest, result_id: str) -> JsonResponse:
    result = await wait_a_little.aget_result(result_id)
    return JsonResponse({"status": result.status, "attempts": result.attempts})
