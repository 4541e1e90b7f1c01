"""
Loggers that never raise, so that an error in a filter cannot end a thread of the worker; and the
one way by which text that others have written reaches a log or a terminal.

A name, a message or the text of an exception may contain line breaks and escape sequences, with
which it could forge lines of ours, or change what a terminal shows.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.log import RequireDebugTrue

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


def one_line(text: str) -> str:
    """Return the text with line breaks and control characters escaped."""
    return text if text.isprintable() else "".join(map(_visible, text))


def visible(text: str) -> str:
    """Return a text of several lines with control characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" else _visible(c) for c in text)


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


class _OneLine(logging.Filter):
    """Escapes what others have written in the arguments and the traceback of our records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_as_argument, record.args))
        if record.exc_info and not record.exc_text:
            record.exc_text = _visible_traceback(record.exc_info)
        return True


def _as_argument(given: object) -> object:
    """Return a log's argument; as escaped text if its own text needs that."""
    if given is None or isinstance(given, int | float):
        return given
    try:
        text = str(given)
    except Exception:  # noqa: BLE001 - a task's exception may do anything
        return type(given).__name__
    return given if text.isprintable() else one_line(text)


def _visible_traceback(exc_info: Any) -> str | None:
    """Return the traceback if it has to be escaped; None leaves it to the handler's formatter."""
    try:
        text = logging.Formatter().formatException(exc_info)
    except Exception:  # noqa: BLE001 - as above
        return None
    clean = visible(text)
    return None if clean == text else clean


_one_line = _OneLine()


def our_logger(name: str) -> logging.Logger:
    """Return the logger with this name, in whose records the text of others is escaped."""
    logger = logging.getLogger(name)
    logger.addFilter(_one_line)
    return logger


class _SafeLogger(_Adapter):
    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        return msg, kwargs  # with the extras of the caller, which an adapter would drop

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one
        try:
            super().log(level, msg, *args, **kwargs)
        except Exception:  # noqa: BLE001 - a filter may raise anything
            with suppress(Exception):  # standard error may be closed
                line = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
                reason = traceback.format_exc()  # with the exception that was being handled, if any
                print(f"{one_line(line)} (This cannot be logged.)\n{reason}", file=sys.stderr)  # noqa: T201


def steady_logger(name: str) -> _Adapter:
    """Return the logger with this name; records it cannot log are printed to standard error."""
    return _SafeLogger(our_logger(name), {})


def is_read(log: logging.Logger, level: int) -> bool:
    """Return whether a record of this level is handled at all."""
    if not log.isEnabledFor(level):
        return False
    if not any(all_handlers(log)):
        return level >= logging.WARNING  # logging.lastResort
    return any(readers(log, level))


def readers(log: logging.Logger, level: int) -> Iterator[logging.Handler]:
    """
    Yield the handlers that handle a record of this level.

    By default Django has a console handler, which handles nothing unless DEBUG is on.
    """
    for handler in all_handlers(log):
        if level >= handler.level and not _needs_debug_mode(handler):
            yield handler


def all_handlers(log: logging.Logger) -> Iterator[logging.Handler]:
    """Yield the handlers of a logger and its parents, without one that keeps lines with runs."""
    current: logging.Logger | None = log
    while current:
        for handler in current.handlers:
            if not getattr(handler, "keeps_lines", False):
                yield handler
        current = current.parent if current.propagate else None


def _needs_debug_mode(handler: logging.Handler) -> bool:
    return not settings.DEBUG and any(type(f) is RequireDebugTrue for f in handler.filters)
