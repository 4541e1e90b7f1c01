"""The addresses of the API: ``path("api/", include("taskworks.rest.urls"))``."""

from django.urls import path

from taskworks.rest import checks  # noqa: F401 - importing it registers its checks
from taskworks.rest.views import (
    CancelTask,
    RetryTask,
    SendEvent,
    TaskDetail,
    TaskEvents,
    TaskList,
    TaskSchema,
    TaskTypes,
)
from taskworks.rest.workflow_views import (
    CancelWorkflow,
    RetryWorkflow,
    WorkflowDetail,
    WorkflowEvents,
    WorkflowList,
    WorkflowSteps,
)

app_name = "taskworks"
urlpatterns = [
    path("tasks/", TaskList.as_view(), name="task-list"),
    path("tasks/types/", TaskTypes.as_view(), name="task-types"),
    path("tasks/schema/", TaskSchema.as_view(), name="task-schema"),
    path("tasks/workflows/", WorkflowList.as_view(), name="workflow-list"),
    path("tasks/workflows/<str:pk>/", WorkflowDetail.as_view(), name="workflow-detail"),
    path("tasks/workflows/<str:pk>/steps/", WorkflowSteps.as_view(), name="workflow-steps"),
    path("tasks/workflows/<str:pk>/cancel/", CancelWorkflow.as_view(), name="workflow-cancel"),
    path("tasks/workflows/<str:pk>/retry/", RetryWorkflow.as_view(), name="workflow-retry"),
    path("tasks/workflows/<str:pk>/events/", WorkflowEvents.as_view(), name="workflow-events"),
    path("tasks/<str:pk>/", TaskDetail.as_view(), name="task-detail"),
    path("tasks/<str:pk>/cancel/", CancelTask.as_view(), name="task-cancel"),
    path("tasks/<str:pk>/retry/", RetryTask.as_view(), name="task-retry"),
    path("tasks/<str:pk>/send/", SendEvent.as_view(), name="task-send"),
    path("tasks/<str:pk>/events/", TaskEvents.as_view(), name="task-events"),
]
