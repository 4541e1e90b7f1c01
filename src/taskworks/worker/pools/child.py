"""
What runs in a child process: one attempt after another, in its main thread, as its worker orders.

It ends when the pipe does: as every Python process does if it has nothing to execute, else at once.
"""

import contextvars
import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from itertools import count
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Any

from taskworks import real_time as time
from taskworks.captured_logs import keeping_lines
from taskworks.execution import (
    Attempt,
    Cancelled,
    Failed,
    InDoubt,
    Lost,
    OnRequest,
    Outcome,
    Postponed,
    Retried,
    Settled,
    ThreadGuard,
    execute,
    judge,
    prepare,
)
from taskworks.execution.task_connections import forget_queries, leave_connections
from taskworks.memory import resident_bytes
from taskworks.steps.requests import Request
from taskworks.store import store_for
from taskworks.worker.default_log import log_by_default
from taskworks.worker.pools.carried_exception import CarriedException
from taskworks.worker.pools.messages import (
    AttemptBegun,
    AttemptEnded,
    AttemptOrdered,
    CancelRequested,
    ChildReady,
    InterruptRequested,
    OrdersRecalled,
    OrdersReturned,
    ProgressReported,
    ProgressWritten,
    StepAnswered,
    StepAsked,
    TurnBegun,
    TurnEnded,
)

REPORT_INTERVAL = 0.1  # seconds between two reports of progress
HOLD_FOR = 0.003  # seconds that a message waits for others, while more is to be executed

# Of which the worker decides what they mean. They are not ignored, or programs that a task starts
# would inherit that.
WORKERS_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

PR_SET_PDEATHSIG = 1


def work(descriptor: int, exit_timeout: float) -> None:
    """Execute what the worker orders, until it closes the pipe or has gone; then leave."""
    log_by_default()
    connection = Connection(descriptor)
    keep_from_programs(connection)
    workers_life = WorkersLife()
    child = ChildMain(connection, workers_life)

    def leave_if_orphaned(*of_signal: Any) -> None:
        if workers_life.is_over:  # a process that it has forked may hold the pipe open
            child.leave()

    for number in WORKERS_SIGNALS:
        signal.signal(number, leave_if_orphaned)
    child.start()
    with keeping_lines():
        child.work(ChildReady())
    connection.close()
    _limit_the_exit(exit_timeout)
    leave_connections()


def keep_from_programs(connection: Connection) -> None:
    """See to it that programs that a task leaves behind do not hold the pipe open."""
    os.set_inheritable(connection.fileno(), False)
    os.register_at_fork(after_in_child=connection.close)


@contextmanager
def _signals_left_to_the_main_thread() -> Iterator[None]:
    """
    Have threads that are started within the block get no signals: one of them would note a signal
    for the main thread, but not wake that.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _limit_the_exit(seconds: float) -> None:
    """
    End this process if it is still there after this time: an exit handler, or a thread that a task
    has left behind, may hang, and its worker may be gone. The system's clock does so even if no
    thread of Python can run.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


class WorkersLife:
    """
    Sends this process SIGTERM when its worker dies, and SIGKILL within the block, in which a task
    may let no other thread see the end of the pipe. On Linux only.
    """

    def __init__(self) -> None:
        self._worker = os.getppid()
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._send_at_end(signal.SIGTERM)

    @property
    def is_over(self) -> bool:
        return os.getppid() != self._worker

    def __enter__(self) -> None:
        self._send_at_end(signal.SIGKILL)
        if self.is_over:  # before that could be sent
            os._exit(0)

    def __exit__(self, *exception: object) -> None:
        self._send_at_end(signal.SIGTERM)

    def _send_at_end(self, number: int) -> None:
        if self._libc:
            self._libc.prctl(PR_SET_PDEATHSIG, number)


class ChildMain:
    """The child's end of the pipe, and its five threads."""

    def __init__(
        self,
        connection: Connection,
        while_executing: AbstractContextManager[None],
        new_guard: Callable[[], ThreadGuard] = ThreadGuard,
        mark: Callable[[int], None] | None = None,
    ) -> None:
        """``mark`` is called with the number of each order that begins, and 0 when it ends."""
        self._connection, self._mark = connection, mark or (lambda number: None)
        self._while_executing, self._new_guard = while_executing, new_guard
        self.is_over = False  # the worker has gone, or has ended the pipe
        self._sending = threading.Lock()
        self._orders: SimpleQueue[_Current | None] = SimpleQueue()  # None: leave
        self._ordered: dict[int, _Current] = {}
        self._current: _Current | None = None  # is executed
        self._held: list[Any] = []  # messages that are sent together
        self._has_held: SimpleQueue[None] = SimpleQueue()
        # Not an Event: an interrupted task might leave its lock taken.
        self._progress: SimpleQueue[None] = SimpleQueue()
        self._requests: SimpleQueue[StepAsked] = SimpleQueue()
        self._has_asked: SimpleQueue[None] = SimpleQueue()

    def start(self) -> None:
        """Start the threads."""
        with _signals_left_to_the_main_thread():
            threading.Thread(target=self._listen, name="taskworks-listen", daemon=True).start()
            threading.Thread(target=self._report, name="taskworks-report", daemon=True).start()
            threading.Thread(target=self._pass_on, name="taskworks-steps", daemon=True).start()
            threading.Thread(target=self._send_later, name="taskworks-held", daemon=True).start()

    # In the main thread.

    def work(self, ready: ChildReady | TurnBegun) -> None:
        """Say so; return when the pipe has ended while nothing is executed, or the turn has."""
        with suppress(OSError):  # the worker has gone while something was sent
            self._send(ready)
            while current := self._orders.get():
                self._execute(current)

    @property
    def has_orders(self) -> bool:
        """True if it was ordered to execute something that has not ended."""
        return bool(self._ordered)

    def leave(self) -> None:
        """Take no more orders, once those that have come are executed."""
        self._orders.put(None)

    def _execute(self, current: "_Current") -> None:
        current.attempt.on_progress = lambda attempt: self._progress.put(None)
        current.attempt.on_request = current.asking(self._ask)
        self._current = current
        self._mark(current.number)
        self._tell(AttemptBegun(current.number, time.monotonic()))
        forget_queries()
        with self._while_executing:
            outcome = current.execute()
        _flush()
        ended = AttemptEnded(
            current.number,
            time.monotonic(),
            _portable(outcome),
            resident_bytes(),
            current.attempt.seen_by,
        )
        with self._sending:
            self._send_progress()
            self._send_requests()  # of a task that was interrupted while it asked
            self._current = None
            del self._ordered[current.number]
        self._mark(0)
        self._tell(ended)

    def _tell(self, message: AttemptBegun | AttemptEnded) -> None:
        """Send it at once if nothing is to be executed after that, or else soon."""
        with self._sending:
            is_first = not self._held
            self._held.append(message)
            if self._orders.empty():
                self._send_held()
            elif is_first:
                self._has_held.put(None)

    def _ask(self, asked: StepAsked) -> None:
        # In the task's thread, which may be interrupted: so another one sends it.
        self._requests.put(asked)
        self._has_asked.put(None)

    # In threads of their own.

    def _listen(self) -> None:
        exit_code = 0
        try:
            while True:
                self._hear(self._connection.recv())
        except (EOFError, OSError):
            pass
        except BaseException:  # noqa: BLE001 - a child that takes no orders is of no use
            traceback.print_exc()
            exit_code = 1
        if self._ordered:  # nobody wants its outcome, and another worker may be executing the run
            os._exit(exit_code)
        self.is_over = True
        self.leave()

    def _hear(self, message: Any) -> None:
        match message:
            case list():
                self._take([_Current(order, self._new_guard()) for order in message])
            case TurnEnded():
                self.leave()
            case OrdersRecalled():
                self._send(OrdersReturned(tuple(self._give_back())))
            case _:
                if current := self._ordered.get(message.number):
                    current.hear(message)

    def _take(self, ordered: "list[_Current]") -> None:
        for current in ordered:
            self._ordered[current.number] = current
        for current in ordered:
            self._orders.put(current)

    def _give_back(self) -> "Iterator[int]":
        with suppress(Empty):
            while current := self._orders.get_nowait():
                del self._ordered[current.number]
                yield current.number
            self.leave()  # nothing follows the end of a turn, of which only the main thread hears

    def _send_later(self) -> None:
        """Send what is held, but not each message by itself."""
        with _sending_or_dying():
            while True:
                self._has_held.get()
                time.sleep(HOLD_FOR)
                with self._sending:
                    self._send_held()

    def _report(self) -> None:
        """Send the first progress at once, then no more often than a person could read it."""
        with _sending_or_dying():
            while True:
                self._await_progress()
                with self._sending:
                    self._send_progress()
                time.sleep(REPORT_INTERVAL)

    def _await_progress(self) -> None:
        self._progress.get()
        with suppress(Empty):
            while True:
                self._progress.get_nowait()

    def _send_progress(self) -> None:
        if not (current := self._current):
            return
        if not current.attempt.has_news:
            return
        channel = current.attempt.channel
        if columns := channel.take_changes():
            self._send_held(ProgressReported(self._current.number, columns, channel.taken))

    def _pass_on(self) -> None:
        """Send what tasks ask."""
        with _sending_or_dying():
            while True:
                self._has_asked.get()
                with self._sending:
                    self._send_requests()

    def _send_requests(self) -> None:
        with suppress(Empty):
            while True:
                self._send_held(self._requests.get_nowait())

    def _send(self, message: Any) -> None:
        with self._sending:
            self._send_held(message)

    def _send_held(self, *and_these: Any) -> None:
        held, self._held = [*self._held, *and_these], []
        if held:
            self._connection.send(held if len(held) > 1 else held[0])


class _Current:
    """The attempt that is executed now."""

    def __init__(self, order: AttemptOrdered, guard: ThreadGuard) -> None:
        self.number = order.number
        order.run.expires_at = None  # its worker has checked that, and has counted the attempt
        self.attempt = Attempt(order.run, order.worker_id, order.claimed)
        if order.cancel_requested:
            self.attempt.channel.cancel_requested = True
        self.attempt.finisher = store_for(order.run.backend)
        self.attempt.guard = self._guard = guard
        self._sender = order.sender
        self._requests = count(1)
        self._asked: dict[int, Callable[[Any], None]] = {}

    def asking(self, send: Callable[[StepAsked], None]) -> OnRequest:
        """Return what has a request of the task answered, once ``send`` has sent it."""

        def ask(attempt: Attempt, asked: Request, answered: Callable[[Any], None]) -> None:
            request = next(self._requests)
            self._asked[request] = answered
            send(StepAsked(self.number, request, asked))

        return ask

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
            case CancelRequested():
                self.attempt.channel.cancel_requested = True
            case InterruptRequested(reason=reason):
                self._guard.interrupt(reason)
            case ProgressWritten(changes=changes):
                self.attempt.channel.confirm(changes)
            case StepAnswered(request=request, answer=answer):
                self._asked.pop(request)(answer)


@contextmanager
def _sending_or_dying() -> Iterator[None]:
    """End this process if a thread cannot send for another reason than that the worker has gone."""
    try:
        yield
    except OSError:
        pass
    except BaseException:  # noqa: BLE001 - the worker would wait for ever
        traceback.print_exc()
        os._exit(1)


def _flush() -> None:
    """Write what a task has printed, which would be lost if the child is killed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _portable(outcome: Outcome) -> Outcome:
    """Return the outcome with an exception that can be sent, whatever its class."""
    if isinstance(outcome, InDoubt):
        return InDoubt(_settled_portably(outcome.otherwise))
    return _settled_portably(outcome)


def _settled_portably(outcome: Settled) -> Settled:
    match outcome:
        case Postponed(delay, reason):
            return Postponed(delay, CarriedException(reason))
        case Failed() | Retried() | Cancelled() | Lost():
            return replace(outcome, exception=CarriedException(outcome.exception))
        case _:
            return outcome
