from django.contrib.auth.views import LoginView
from django.urls import include, path

urlpatterns = [
    path("", include("sourcestats.urls")),
    path("tasks/", include("typedtasks.urls")),
    path("dashboard/", include("taskworks.dashboard.urls")),
    path("api/", include("taskworks.rest.urls")),
    path("login/", LoginView.as_view(template_name="typedtasks/login.html"), name="login"),
]
