"""
What log records say of the run in whose code they are made, such as the correlation id of a
request, which its runs carry as well.

This module must not import models: the setting LOGGING names the filter, and Django reads it
before models can be imported.
"""

import logging
from typing import Any

from taskworks.context import TaskContext, current_context
from taskworks.logs import one_line

HEADERS = ("X-Correlation-ID", "X-Request-ID")
MAX_LENGTH = 200  # characters
METADATA_KEY = "correlation_id"
EXTRAS = ("task_id", "task_path", "task_queue", "task_attempt")


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


class RunFilter(CorrelationFilter):
    """
    A logging filter that adds ``task_id``, ``task_path``, ``task_queue``, ``task_attempt`` and
    ``correlation_id`` to each record: those of the run in whose code the record is made, or "-".
    """

    def filter(self, record: logging.LogRecord) -> bool:
        super().filter(record)
        known = run_extras()
        for name in EXTRAS:
            if not hasattr(record, name):
                setattr(record, name, known.get(name, "-"))
        return True


def add_run(logger: Any, method_name: str, event_dict: Any) -> Any:
    """
    Add to an event of structlog what RunFilter adds to a record, if it is made in the code of a
    run, and what it does not say itself. A processor for ``structlog.configure``.
    """
    for name, value in run_extras().items():
        event_dict.setdefault(name, value)
    return event_dict


def run_extras() -> dict[str, Any]:
    """Return what a record is to say of the run in whose code this is called; {} outside of one."""
    context = current_context()
    if context is None:
        return {}
    task = context.task_result.task
    extras = dict[str, Any](zip(EXTRAS, _facts(context, task), strict=True))
    if correlation_id := correlation_of(context.metadata):
        extras[METADATA_KEY] = correlation_id
    return extras


def extras_of(run: Any) -> dict[str, Any]:
    """Return what a record of ours says of the row of a run that it is about."""
    names = one_line(run.task_path), one_line(run.queue_name)
    extras = dict[str, Any](zip(EXTRAS, (str(run.id), *names, run.attempts), strict=True))
    if correlation_id := correlation_of(run.metadata):
        extras[METADATA_KEY] = correlation_id
    return extras


def _facts(context: TaskContext, task: Any) -> tuple[Any, ...]:
    names = one_line(task.module_path), one_line(task.queue_name)
    return (context.task_result.id, *names, context.attempt)
