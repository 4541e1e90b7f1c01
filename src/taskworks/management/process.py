"""The current process: the command that started it, its signals, its output."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TextIO

from django.core.management.base import BaseCommand

LAST_STANDARD_DESCRIPTOR = 2
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def replace_closed_output() -> None:
    """
    Let what is printed get lost if the process was started with its output closed (``>&-``).

    Otherwise print() and Django's commands raise an error, or the next file or socket takes the
    descriptor, and what is printed goes there, from child processes too.
    """
    for name in ("stdin", "stdout", "stderr"):  # the order of their descriptors
        if getattr(sys, name) is None:
            setattr(sys, name, _nowhere("r" if name == "stdin" else "w"))


def _nowhere(mode: Literal["r", "w"]) -> TextIO:
    stream = open(os.devnull, mode)  # noqa: SIM115 - as long as the process lives
    if stream.fileno() <= LAST_STANDARD_DESCRIPTOR:
        os.set_inheritable(stream.fileno(), True)
    return stream


def is_command_line(command: BaseCommand) -> bool:
    """Return whether this process was started for the command, and not call_command() used."""
    return getattr(command, "_called_from_command_line", False)


def own_command() -> list[str]:
    """Return the command that started this process; valid in the directory it was started in."""
    return [sys.executable, *sys.orig_argv[1:]]


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call ``stop`` for each signal that asks the process to stop."""
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, frame: stop())


def ignore_signals() -> None:
    """
    Ignore the stop signals from now on.

    For a process that is about to exit: the interpreter resets its handlers while it shuts down,
    and another signal would then kill the process.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def flush() -> None:
    """Write out what was printed so far; ignore a closed output."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
