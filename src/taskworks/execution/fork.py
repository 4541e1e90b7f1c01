"""A task that forks, and whose child comes back to its worker."""

import os
import sys
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Self


class ending_forks:  # noqa: N801 - used as a word, and quicker than a function of contextlib
    """
    A process that is forked meanwhile, and leaves this block, ends here. What it would find, the
    next run, the connections, the record, is its parent's, who has it too.
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


def _end(error: BaseException | None) -> None:
    """As a program ends that has returned, or raised this."""
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
