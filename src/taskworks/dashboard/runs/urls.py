"""The addresses of the pages of runs."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from taskworks.dashboard.runs.acting import ActOnRun
from taskworks.dashboard.runs.changed_run import ChangedRunPage
from taskworks.dashboard.runs.list_page import RunsPage
from taskworks.dashboard.runs.matching_page import MatchingPage
from taskworks.dashboard.runs.new_run import NewRunOfTaskPage, NewRunPage
from taskworks.dashboard.runs.run_events import RunEvents
from taskworks.dashboard.runs.run_page import (
    RelativesPage,
    RunPage,
    StepsPage,
    StripPage,
    TextView,
)


class DirectVerb(StringConverter):
    """What is done to one run without asking."""

    regex = "retry|cancel|run-now"


register_converter(DirectVerb, "taskworks_verb")

urlpatterns = [
    path("runs/", RunsPage.as_view(), name="runs"),
    path("runs/matching/", MatchingPage.as_view(), name="runs_matching"),
    path("runs/<uuid:run_id>/", RunPage.as_view(), name="run"),
    path("runs/<uuid:run_id>/steps/", StepsPage.as_view(), name="run_steps"),
    path("runs/<uuid:run_id>/events/", RunEvents.as_view(), name="run_events"),
    path("runs/<uuid:run_id>/strip/", StripPage.as_view(), name="run_strip"),
    path("runs/<uuid:run_id>/related/", RelativesPage.as_view(), name="run_relatives"),
    path("runs/<uuid:run_id>/text/<slug:part>/", TextView.as_view(), name="run_text"),
    path("runs/<uuid:run_id>/changed/", ChangedRunPage.as_view(), name="run_changed"),
    path("runs/<uuid:run_id>/<taskworks_verb:verb>/", ActOnRun.as_view(), name="run_act"),
    path("new/", NewRunPage.as_view(), name="new_run"),
    path("new/<str:path>/", NewRunOfTaskPage.as_view(), name="new_run_of"),
]
