from django.urls import path

from reports import views

urlpatterns = [
    path("export/", views.export, name="export"),
    path("export/<str:task_id>/", views.progress, name="progress"),
]
