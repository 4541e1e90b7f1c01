"""Until when, as forms ask for it: for so many minutes, or to a date and time."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from taskworks.dashboard.page import Refused

DURATIONS = {
    "15": gettext_lazy("for 15 minutes"),
    "60": gettext_lazy("for 1 hour"),
    "240": gettext_lazy("for 4 hours"),
    "1440": gettext_lazy("for 1 day"),
    "10080": gettext_lazy("for 7 days"),
}


def given_end(minutes: str, until: str) -> datetime | timedelta | None:
    """Return the end that a person has given, None for none; raise Refused if it is not one."""
    if until:
        return _moment(until)
    if not minutes:
        return None
    if minutes not in DURATIONS:
        raise Refused(_("%(text)s is not a duration that is offered.") % {"text": repr(minutes)})
    return timedelta(minutes=int(minutes))


def _moment(text: str) -> datetime:
    try:
        moment = parse_datetime(text)
        if moment and settings.USE_TZ and timezone.is_naive(moment):
            moment = timezone.make_aware(moment)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise Refused(_("%(text)s is not a date and time.") % {"text": repr(text[:100])})
    return moment
