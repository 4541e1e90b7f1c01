"""
Tells the page of a run that the run has changed: events without data, upon which the page reads
itself again. They need a server that streams, and the packages of the REST API, whose streams they
are; elsewhere the page looks at its interval alone.
"""

from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _

from taskworks.dashboard.page import DashboardView
from taskworks.dashboard.runs.run_page import run_with
from taskworks.dashboard.runs.streaming import change_streams, is_streamed
from taskworks.models import TaskRun
from taskworks.models.run import FINISHED


class RunEvents(DashboardView):
    """An event for each change of the run, until it ends; for at most ten minutes."""

    http_method_names = ["get"]  # noqa: RUF012 - as Django's views have it

    def get(self, request: HttpRequest, *, run_id: UUID) -> HttpResponseBase:
        run = run_with(run_id, self.access)
        if not is_streamed(request):
            raise Http404(_("No events are streamed here."))
        if run.state in FINISHED:
            return HttpResponse(status=204)  # which tells the browser not to ask again
        return self._stream_of(run) or HttpResponse(status=503)

    def _stream_of(self, run: TaskRun) -> HttpResponseBase | None:
        """Return the stream; None if this person, or this process, has too many."""
        streams = change_streams()
        owner, address = str(self.actor.user or ""), self.request.META.get("REMOTE_ADDR", "")
        holder = streams.holder_of(owner, address)
        if not streams.hub.has_place_for(holder):
            return None
        response: HttpResponseBase = streams.of(run, holder)
        return response
