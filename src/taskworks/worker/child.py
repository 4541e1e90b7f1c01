"""
A child process: executes one attempt after another in its main thread, as its worker orders.

It lives as long as its worker: the end of the pipe is its end.
"""

import contextvars
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from taskworks.execution import (
    Attempt,
    Cancelled,
    Failed,
    Outcome,
    Retried,
    ThreadGuard,
    execute,
    judge,
    prepare,
)
from taskworks.worker.wire import Asked, Begun, Ended, InChild, Interrupted, Order, Told, Written

TELL_EVERY = 0.1  # seconds


def work(descriptor: int) -> None:
    """Execute what is ordered, until the worker has gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        # Its worker decides. No SIG_IGN, which programs that a task starts would inherit.
        signal.signal(number, lambda *_: None)
    Child(Connection(descriptor)).work()


class Child:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._current: _Current | None = None
        self._has_news = threading.Event()

    def work(self) -> None:
        threading.Thread(target=self._listen, name="taskworks-listen", daemon=True).start()
        threading.Thread(target=self._tell, name="taskworks-tell", daemon=True).start()
        while True:
            self._execute(self._orders.get())

    # In the main thread.

    def _execute(self, order: Order) -> None:
        current = self._current = _Current(order)
        current.attempt.dialogue.listener = self._has_news.set
        self._send(Begun())
        outcome = current.execute()
        self._current = None
        self._send_news(current)
        self._send(Ended(_portable(outcome), _memory()))

    # In threads of their own.

    def _listen(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._hear(self._connection.recv())
        os._exit(0)

    def _hear(self, message: Any) -> None:
        current = self._current
        if isinstance(message, Order):
            self._orders.put(message)
        elif current and message.number == current.number:
            current.hear(message)

    def _tell(self) -> None:
        """The first news at once, then no more often than a person could read them."""
        while self._has_news.wait():
            self._has_news.clear()
            if current := self._current:
                self._send_news(current)
            time.sleep(TELL_EVERY)

    def _send_news(self, current: "_Current") -> None:
        with self._sending:
            if columns := current.attempt.dialogue.take():
                self._connection.send(Told(columns, current.attempt.dialogue.taken))

    def _send(self, message: Any) -> None:
        with self._sending:
            self._connection.send(message)


class _Current:
    """What is executed now."""

    def __init__(self, order: Order) -> None:
        self.number = order.number
        self.attempt = Attempt(order.run, order.worker_id, order.claimed)
        self.attempt.dialogue.cancel_requested = order.cancel_requested
        self._guard = ThreadGuard()
        self._sender = order.sender

    def execute(self) -> Outcome:
        try:
            outcome = prepare(self.attempt) or contextvars.Context().run(
                execute, self.attempt, self._guard, self._sender
            )
        except BaseException as error:  # noqa: BLE001 - the child must not end for it
            reason = self._guard.reason
            outcome = judge(self.attempt, reason.exception() if reason else error)
        self._guard.disarm()
        return outcome

    def hear(self, message: Any) -> None:
        match message:
            case Asked():
                self.attempt.dialogue.cancel_requested = True
            case Interrupted(reason=reason):
                self._guard.interrupt(reason)
            case Written(changes=changes):
                self.attempt.dialogue.written(changes)


def _portable(outcome: Outcome) -> Outcome:
    """Without the exception itself, which only this process may be able to make."""
    match outcome:
        case Failed(_, entry) | Retried(_, entry, _) | Cancelled(_, entry):
            return replace(outcome, exception=InChild(entry["traceback"]))
        case _:
            return outcome


def _memory() -> int:
    """Resident bytes, now where the system tells, else at their highest."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return highest if sys.platform == "darwin" else highest * 1024
