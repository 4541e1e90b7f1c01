"""The addresses of the API: ``path("api/", include("taskworks.rest.urls"))``."""

from django.urls import path

from taskworks.rest import checks  # noqa: F401 - importing it registers its checks
from taskworks.rest.views import (
    CancelTask,
    RetryTask,
    TaskDetail,
    TaskEvents,
    TaskList,
    TaskSchema,
    TaskTypes,
)

app_name = "taskworks"
urlpatterns = [
    path("tasks/", TaskList.as_view(), name="task-list"),
    path("tasks/types/", TaskTypes.as_view(), name="task-types"),
    path("tasks/schema/", TaskSchema.as_view(), name="task-schema"),
    path("tasks/<str:pk>/", TaskDetail.as_view(), name="task-detail"),
    path("tasks/<str:pk>/cancel/", CancelTask.as_view(), name="task-cancel"),
    path("tasks/<str:pk>/retry/", RetryTask.as_view(), name="task-retry"),
    path("tasks/<str:pk>/events/", TaskEvents.as_view(), name="task-events"),
]
