"""Forks of the tests' process."""

import os
from collections.abc import Callable


def exit_code_of(child: Callable[[], int]) -> int:
    """That of a fork of this process that makes this call."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            code = child()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
