from django.urls import include, path

urlpatterns = [
    path("", include("taskworks.rest.urls")),
]
