"""End the child of a task that forks before it returns into the worker."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self


class ending_forks:  # noqa: N801 - a function of contextlib would be slower
    """
    If the code in this block forks, the child process exits at the end of the block instead of
    returning into the worker, whose runs and connections belong to the parent.
    """

    def __enter__(self) -> Self:
        self._process = os.getpid()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if os.getpid() != self._process:
            _end(error)


def called_ending_forks(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Return what the function returns, called in such a block, in a third of the time."""
    process = os.getpid()
    try:
        returned = function(*args, **kwargs)
    except BaseException as error:
        if os.getpid() != process:
            _end(error)
        raise
    if os.getpid() != process:
        _end(None)
    return returned


def _end(error: BaseException | None) -> None:
    """Exit as a program does that returns, or raises this error."""
    code: object = None
    if isinstance(error, SystemExit):
        code = error.code
    elif error:
        code = 1
        with suppress(Exception):
            traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code if isinstance(code, int) else bool(code))
