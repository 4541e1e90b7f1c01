"""The dashboard, the admin, the REST API and the metrics."""

from django.contrib import admin
from django.urls import include, path

from taskworks.prometheus import open_metrics

urlpatterns = [
    path("admin/", admin.site.urls),
    path("dashboard/", include("taskworks.dashboard.urls")),
    path("api/", include("taskworks.rest.urls")),
    path("metrics", open_metrics),
]
