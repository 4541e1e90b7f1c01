"""Logs that stop nobody: what a project's filter raises ends no thread on which runs depend."""

import logging
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter


class _Steady(_Adapter):
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the caller's line, not this one
        try:
            super().log(level, msg, *args, **kwargs)
        except Exception:  # noqa: BLE001 - a filter may raise anything
            with suppress(Exception):  # nor does a standard error that is closed
                line = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
                why = traceback.format_exc()  # and what is being handled, if something is
                print(f"{line} (This cannot be logged.)\n{why}", file=sys.stderr)  # noqa: T201


def steady_logger(name: str) -> _Adapter:
    """The logger of this name; a line that cannot be logged goes to standard error instead."""
    return _Steady(logging.getLogger(name), {})
