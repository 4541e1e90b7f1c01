from django.urls import path

from orders import views

urlpatterns = [
    path("", views.place, name="place"),
    path("<uuid:order_id>/", views.detail, name="order"),
    path("<uuid:order_id>/ship/", views.ship, name="ship"),
]
