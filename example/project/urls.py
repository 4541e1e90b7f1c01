from django.urls import include, path

urlpatterns = [
    path("", include("sourcestats.urls")),
]
