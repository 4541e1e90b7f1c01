"""The API where the client finds it."""

from django.urls import include, path

urlpatterns = [path("somewhere/", include("taskworks.rest.urls"))]
