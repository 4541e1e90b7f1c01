from django.urls import path

from tests.endpoints.orders import Chained

urlpatterns = [path("Chained/<str:number>/", Chained.as_view())]
