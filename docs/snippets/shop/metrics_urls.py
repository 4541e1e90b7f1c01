from django.urls import path
from taskworks.prometheus import metrics

urlpatterns = [
    path("metrics", metrics),
]
