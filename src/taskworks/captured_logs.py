"""
Keep what a task's code logs with its run: ``TASKWORKS["CAPTURE_LOGS"]``.

This module must not import models: the setting LOGGING may name the handler, and Django reads it
before models can be imported.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import format_exception_only

from taskworks.conf import conf
from taskworks.context import current_context
from taskworks.framework import LOGGER_NAME
from taskworks.logs import all_handlers

IS_KEPT = "taskworks_is_kept"  # of a record that several of these handlers get


class RunLogHandler(logging.Handler):
    """
    Keeps each record that is made in the code of a run with this run. It does nothing without
    ``CAPTURE_LOGS``. LOGGING may name it, to give it a level and filters; workers add one of their
    own otherwise, to the root logger.
    """

    keeps_lines = True  # and writes nothing: see taskworks.logs

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.name == LOGGER_NAME:  # of the standard, which tells what the run says itself
                return
            if not conf().capture_logs or hasattr(record, IS_KEPT):
                return
            if context := current_context():
                setattr(record, IS_KEPT, True)
                context._add_line(record.levelname.lower(), record.name, _text_of(record))
        except Exception:  # noqa: BLE001 - as every handler does
            self.handleError(record)


class _Default(RunLogHandler):
    """A worker's own handler. If there is one, Python prints no warnings, so this one does."""

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        last = logging.lastResort
        if last and record.levelno >= last.level and not _has_other_handlers(record):
            last.handle(record)


_default = _Default()
_users = 0  # workers that use it
_counting = threading.Lock()


@contextmanager
def keeping_lines() -> Iterator[None]:
    """Keep what runs log within this block, if ``CAPTURE_LOGS`` says so."""
    if not conf().capture_logs or _is_named_in_settings():
        yield
        return
    _use(+1)
    try:
        yield
    finally:
        _use(-1)


def _use(difference: int) -> None:
    global _users  # noqa: PLW0603 - several workers may be in one process, as in tests
    with _counting:
        _users += difference
        if _users:
            logging.root.addHandler(_default)
        else:
            logging.root.removeHandler(_default)


def _is_named_in_settings() -> bool:
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = (one for one in known if isinstance(one, logging.Logger))
    return any(
        isinstance(handler, RunLogHandler) and handler is not _default
        for log in loggers
        for handler in log.handlers
    )


def _has_other_handlers(record: logging.LogRecord) -> bool:
    return any(all_handlers(logging.getLogger(record.name)))


def _text_of(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.exc_info and (error := record.exc_info[1]):
        text = f"{text}\n{''.join(format_exception_only(error)).strip()}"
    return text
