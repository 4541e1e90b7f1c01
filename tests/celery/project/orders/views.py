from django.http import JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_POST

from orders import services
from orders.forms import OrderForm
from orders.models import Order


@require_POST
def place(request):
    form = OrderForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    data = form.cleaned_data
    try:
        order = services.place_order(data["email"], {data["sku"]: data["quantity"]})
    except services.OutOfStockError as error:
        return JsonResponse({"errors": {"quantity": [str(error)]}}, status=409)
    return JsonResponse({"id": order.id, "total": order.total}, status=201)


@require_POST
def ship(request, order_id):
    order = get_object_or_404(Order.objects.paid(), pk=order_id)
    result = services.ship_order(order, timezone.now())
    return JsonResponse({"task": result.id}, status=202)


def detail(request, order_id):
    order = get_object_or_404(Order, pk=order_id)
    items = [{"product": item.product.sku, "quantity": item.quantity} for item in order.items.all()]
    return JsonResponse({"id": order.id, "state": order.state, "items": items})
