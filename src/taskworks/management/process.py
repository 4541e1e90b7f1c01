"""This process: by which command it was started, and what stops it."""

import signal
import sys
from collections.abc import Callable
from contextlib import suppress

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def its_command() -> list[str]:
    """The command that starts the like of it, in the directory in which it was started."""
    return [sys.executable, *sys.orig_argv[1:]]


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` for each signal that asks a process to end."""
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, frame: stop())


def ignore_signals() -> None:
    """
    Heed none of these any more: the process ends, and an interpreter that ends would let the next
    one kill it.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def flush() -> None:
    """Let go of what was printed."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
