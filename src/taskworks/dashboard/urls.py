"""
The addresses of the dashboard. A project includes them where it likes::

    path("tasks/", include("taskworks.dashboard.urls"))
"""

from django.urls import path

from taskworks.dashboard.overview import Overview
from taskworks.dashboard.queues import ClearQueue, PauseQueue, Queues, ResumeQueue
from taskworks.dashboard.runs.urls import urlpatterns as of_runs
from taskworks.dashboard.workers import StopWorker, Workers

app_name = "taskworks_dashboard"

urlpatterns = [
    path("", Overview.as_view(), name="overview"),
    path("queues/", Queues.as_view(), name="queues"),
    path("queues/pause/", PauseQueue.as_view(), name="pause_queue"),
    path("queues/resume/", ResumeQueue.as_view(), name="resume_queue"),
    path("queues/clear/", ClearQueue.as_view(), name="clear_queue"),
    path("workers/", Workers.as_view(), name="workers"),
    path("workers/<uuid:worker>/stop/", StopWorker.as_view(), name="stop_worker"),
    *of_runs,
]
