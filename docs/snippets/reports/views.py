from django.contrib.auth.decorators import login_required
from django.http import JsonResponse

from reports.tasks import MonthlyReport


@login_required
def order_report(request):
    result = MonthlyReport.using(owner=request.user).enqueue(month="2026-05-01", shops=["Bonn"])
    return JsonResponse({"run": result.id})
