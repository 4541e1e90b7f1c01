from django.http import HttpRequest, JsonResponse

from shop.approval import pay_out


def decide(request: HttpRequest, run_id: str) -> JsonResponse:
    decision = {"approved": request.POST["answer"] == "yes", "by": request.POST["name"]}
    counts = pay_out.get_result(run_id).send("decision", decision)
    return JsonResponse({"counts": counts})
