"""Loggers that never raise, so that an error in a filter cannot end a thread of the worker."""

import logging
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class _SafeLogger(_Adapter):
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one
        try:
            super().log(level, msg, *args, **kwargs)
        except Exception:  # noqa: BLE001 - a filter may raise anything
            with suppress(Exception):  # standard error may be closed
                line = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
                reason = traceback.format_exc()  # with the exception that was being handled, if any
                print(f"{line} (This cannot be logged.)\n{reason}", file=sys.stderr)  # noqa: T201


def steady_logger(name: str) -> _Adapter:
    """Return the logger with this name; records it cannot log are printed to standard error."""
    return _SafeLogger(logging.getLogger(name), {})
