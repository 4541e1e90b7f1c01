"""How to stop an attempt that a main thread executes."""

import signal
from typing import Any

from taskworks.execution import Reason, ThreadGuard

# A signal that is ignored by default: a process that gets it late does not notice.
WAKE_UP = signal.SIGURG


class MainThreadGuard(ThreadGuard):
    """
    Also wakes the main thread, which alone handles signals: so an interruption strikes a function
    that sleeps or waits for a network at once, and not when it next executes Python.
    """

    def interrupt(self, reason: Reason) -> None:
        super().interrupt(reason)
        if (thread := self._thread) and not self._is_over:
            signal.pthread_kill(thread, WAKE_UP)


def handle_wake_ups() -> None:
    """Have the main thread handle the signal, which is what interrupts its system calls."""
    if signal.getsignal(WAKE_UP) is signal.SIG_DFL:
        signal.signal(WAKE_UP, _ignore)


def _ignore(*arguments: Any) -> None:
    pass
