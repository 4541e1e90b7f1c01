from django.urls import path

from taskworks.prometheus import metrics, open_metrics

urlpatterns = [path("metrics", metrics), path("open", open_metrics)]
