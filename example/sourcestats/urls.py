from django.urls import path

from sourcestats import views

app_name = "sourcestats"
urlpatterns = [
    path("", views.surveys, name="surveys"),
    path("surveys/<int:pk>/", views.survey, name="survey"),
]
