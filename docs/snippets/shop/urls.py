from django.urls import include, path

from shop.printing import printing

urlpatterns = [
    path("api/", include("taskworks.rest.urls")),
    path("printing/", printing),
]
