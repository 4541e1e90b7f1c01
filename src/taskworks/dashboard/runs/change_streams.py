"""The event streams of the REST API, without what the events say. It needs that API's packages."""

from django.http import StreamingHttpResponse

from taskworks.models import TaskRun
from taskworks.rest.events.hub import hub
from taskworks.rest.events.places import Holder, holder_of
from taskworks.rest.events.stream import EventStream, Run
from taskworks.rest.serializers import run_as_json

__all__ = ["holder_of", "hub", "of"]


def of(run: TaskRun, holder: Holder) -> StreamingHttpResponse:
    """Return the answer that streams an event for each change of this run."""
    return ChangeStream(run.id, run_as_json(run), holder).response()


class ChangeStream(EventStream):
    """Says that something has changed: what it is, is for those to read who may."""

    def _event(self, name: str, data: Run, event_id: str | None = None) -> bytes:
        return b"event: changed\ndata: 1\n\n"
