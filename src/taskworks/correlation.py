"""
The correlation id of a request: one name for all that it leads to, in logs of both sides.

Imports no models: Django reads the setting LOGGING, which names the filter, before there are any.
"""

import logging
from typing import Any

from taskworks.context import current_context

HEADERS = ("X-Correlation-ID", "X-Request-ID")
LONGEST = 200  # characters
METADATA_KEY = "correlation_id"


def correlation_id_of(request: Any) -> str | None:
    """
    What a middleware has set as ``request.correlation_id``, as that of django-cid does, or else
    the header X-Correlation-ID or X-Request-ID; None if there is none that can be printed.
    """
    given = [getattr(request, "correlation_id", None), *map(request.headers.get, HEADERS)]
    return next((cleaned for one in given if (cleaned := _cleaned(one))), None)


def _cleaned(given: Any) -> str | None:
    """A client may have sent anything."""
    text = "" if given is None else str(given).strip()[:LONGEST]
    return text if text.isprintable() and text else None


class CorrelationFilter(logging.Filter):
    """
    Gives each record a ``correlation_id``: that of the run that is executed where it is made, or
    "-". For a log's formatter, in workers.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, METADATA_KEY):
            context = current_context()
            record.correlation_id = (context and context.metadata.get(METADATA_KEY)) or "-"
        return True
