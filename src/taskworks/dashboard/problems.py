"""What is wrong, in sentences, with what to do; the overview begins with it."""

from collections.abc import Iterator
from typing import NamedTuple

from django.http import HttpRequest
from django.utils.translation import gettext as _

from taskworks.dashboard.places import address
from taskworks.dashboard.snapshot import Snapshot


class Shown(NamedTuple):
    """A problem as the overview shows it."""

    id: str
    severity: str  # error, warning
    sentence: str
    remedy: str
    address: str = ""  # of the page that shows what it is about


def found(request: HttpRequest, now: Snapshot) -> list[Shown]:
    """Return what is wrong now, the worst first."""
    return sorted(_found(request, now), key=lambda one: one.severity != "error")


def _found(request: HttpRequest, now: Snapshot) -> Iterator[Shown]:
    for queue in now.queues.value or ():
        if queue.ready and not queue.workers and not queue.pause:
            yield Shown(
                "queue_without_worker",
                "error",
                _("Runs wait in the queue %(queue)s, and no living worker takes it.")
                % {"queue": queue.name},
                _("Start a worker: manage.py taskworks worker"),
                address(request, "queues"),
            )
    for working in now.workers.value or ():
        if working.is_silent:
            yield Shown(
                "silent_worker",
                "error",
                _("The worker %(worker)s seems to be dead.") % {"worker": working.worker},
                _("See whether its process lives, and whether it reaches the database."),
                address(request, "workers"),
            )
