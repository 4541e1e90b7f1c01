"""The endpoints of the tests, each at a path with the name of its class."""

from adrf.routers import SimpleRouter as AsyncRouter
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from tests.endpoints import async_orders, bad, orders, seed


class Run(APIView):
    """Stands in for the REST API's resource of a run."""

    def get(self, request: object, pk: str) -> Response:
        return Response({"id": pk})


router = SimpleRouter()
router.register("orders", orders.OrderViewSet)
async_router = AsyncRouter()
async_router.register("orders", async_orders.AsyncOrderViewSet)
api = [path("tasks/<str:pk>/", Run.as_view(), name="task-detail")]
urlpatterns = [
    *(
        path(f"{endpoint.__name__}/<str:number>/", endpoint.as_view())
        for endpoint in (
            orders.InOrder,
            orders.Chained,
            orders.Everything,
            orders.AnyNames,
            orders.RunByAnother,
            orders.Stubborn,
            orders.Unified,
            orders.Watched,
            orders.Shared,
            orders.Fails,
            orders.SignOrder,
            async_orders.AsyncSignOrder,
            async_orders.AsyncFails,
            *bad.ENDPOINTS,
            *seed.ENDPOINTS,
        )
    ),
    path("Parcels/<uuid:pk>/", orders.Parcels.as_view()),
    *(
        path(f"{view.__name__}/", view.as_view())
        for view in (
            orders.CreateOrder,
            async_orders.AsyncCreateOrder,
            async_orders.AsyncCreateByItself,
            async_orders.AsyncCreateSlowly,
            async_orders.CreateSlowly,
        )
    ),
    path("viewset/", include(router.urls)),
    path("async-viewset/", include(async_router.urls)),
    path("api/", include((api, "taskworks"))),
]
