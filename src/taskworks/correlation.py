"""
The correlation id of a request, which its runs and their log records carry as well.

This module must not import models: the setting LOGGING names the filter, and Django reads it
before models can be imported.
"""

import logging
from typing import Any

from taskworks.context import current_context
from taskworks.logs import one_line

HEADERS = ("X-Correlation-ID", "X-Request-ID")
MAX_LENGTH = 200  # characters
METADATA_KEY = "correlation_id"


def correlation_id_of(request: Any) -> str | None:
    """
    Return ``request.correlation_id``, which a middleware such as django-cid's sets, else the header
    X-Correlation-ID or X-Request-ID; None if there is none, or it is not printable.
    """
    given = [getattr(request, "correlation_id", None), *map(request.headers.get, HEADERS)]
    return next((cleaned for one in given if (cleaned := _cleaned(one))), None)


def _cleaned(given: Any) -> str | None:
    text = "" if given is None else str(given).strip()[:MAX_LENGTH]
    return text if text.isprintable() and text else None


def correlation_of(metadata: Any) -> str | None:
    """
    Return the correlation id of a run with this metadata, in one line of up to 200 characters; None
    if there is none. Tasks and projects may write there whatever they like.
    """
    given = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    return one_line(str(given)[:MAX_LENGTH]) if given else None


class CorrelationFilter(logging.Filter):
    """
    A logging filter that adds ``correlation_id`` to each record: that of the run in whose code the
    record is made, or "-".
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, METADATA_KEY):
            context = current_context()
            record.correlation_id = (context and correlation_of(context.metadata)) or "-"
        return True
