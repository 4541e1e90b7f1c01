from django.urls import path
from taskworks.health.views import health

urlpatterns = [
    path("health/", health),
]
