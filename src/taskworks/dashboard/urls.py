"""
The addresses of the dashboard. A project includes them where it likes::

    path("tasks/", include("taskworks.dashboard.urls"))
"""

from django.urls import include, path

from taskworks.dashboard.failures import (
    AnnotateGroup,
    FailureGroupPage,
    Failures,
    MuteGroup,
    RetryGroup,
)
from taskworks.dashboard.limits import ChangeLimit, Limits
from taskworks.dashboard.overview import Overview
from taskworks.dashboard.page_addresses import DATABASE
from taskworks.dashboard.queues import ClearQueue, PauseQueue, Queues, ResumeQueue
from taskworks.dashboard.runs.urls import urlpatterns as of_runs
from taskworks.dashboard.schedules import ScheduleAction, Schedules
from taskworks.dashboard.workers import StopWorker, Workers
from taskworks.dashboard.workflows import CancelWorkflow, RetryWorkflow, WorkflowPage, Workflows

app_name = "taskworks_dashboard"

pages = [
    path("", Overview.as_view(), name="overview"),
    path("failures/", Failures.as_view(), name="failures"),
    path("failures/<str:fingerprint>/", FailureGroupPage.as_view(), name="failure_group"),
    path("failures/<str:fingerprint>/retry/", RetryGroup.as_view(), name="retry_group"),
    path("failures/<str:fingerprint>/mute/", MuteGroup.as_view(), name="mute_group"),
    path("failures/<str:fingerprint>/note/", AnnotateGroup.as_view(), name="annotate_group"),
    path("queues/", Queues.as_view(), name="queues"),
    path("queues/pause/", PauseQueue.as_view(), name="pause_queue"),
    path("queues/resume/", ResumeQueue.as_view(), name="resume_queue"),
    path("queues/clear/", ClearQueue.as_view(), name="clear_queue"),
    path("workers/", Workers.as_view(), name="workers"),
    path("workers/<uuid:worker>/stop/", StopWorker.as_view(), name="stop_worker"),
    *of_runs,
    path("schedules/", Schedules.as_view(), name="schedules"),
    path("schedules/<int:schedule>/", ScheduleAction.as_view(), name="schedule_action"),
    path("workflows/", Workflows.as_view(), name="workflows"),
    path("workflows/<uuid:workflow>/", WorkflowPage.as_view(), name="workflow"),
    path("workflows/<uuid:workflow>/cancel/", CancelWorkflow.as_view(), name="cancel_workflow"),
    path("workflows/<uuid:workflow>/retry/", RetryWorkflow.as_view(), name="retry_workflow"),
    path("limits/", Limits.as_view(), name="limits"),
    path("limits/change/", ChangeLimit.as_view(), name="change_limit"),
]

urlpatterns = [
    *pages,
    # Where several databases have runs, those that are not the default backend's.
    path(f"database/<str:{DATABASE}>/", include((pages, DATABASE))),
]
