from django.urls import path

from typedtasks import views

app_name = "typedtasks"
urlpatterns = [
    path("", views.tasks, name="tasks"),
]
