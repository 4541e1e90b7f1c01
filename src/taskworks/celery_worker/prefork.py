"""
The pool for functions with ``-P prefork``: Celery's child processes.

Celery is asked for *turns*, and is told no more of what happens in them. A child that has one
connects to this process, and executes some runs, one after another, as it is ordered from here.
"""

import math
import os
import re
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from billiard.exceptions import WorkerLostError

from taskworks import real_time as time
from taskworks.celery_worker.forking import keep_apart
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.marks import forget_mark, read_mark
from taskworks.celery_worker.meeting_place import MeetingPlace
from taskworks.celery_worker.prefork_child import take_turn
from taskworks.celery_worker.sharing import MakeRequest
from taskworks.celery_worker.threads import RUNS_A_JOB, CeleryThreads
from taskworks.execution import Attempt, Guard, Outcome, Released, judge
from taskworks.logs import steady_logger
from taskworks.worker.piped_process import Line, exit_in_words
from taskworks.worker.pools import Done
from taskworks.worker.pools.messages import OrdersReturned, TurnBegun, TurnEnded
from taskworks.worker.pools.ordering import ChildGuard, Orders, outcome_of_death

A_MOMENT = 0.02  # seconds that the runs may take that a child is given at once
RECALL_AFTER = 0.02  # seconds of silence, after which a child gives back what has not begun
DEATH_TIMEOUT = 1.0  # seconds for a child to end that has closed its pipe
GLANCE_INTERVAL = 0.001  # seconds between two looks whether it has
EXIT_TIMEOUT = 2.0  # seconds for the children that are killed, and what is written of them
ASK_AGAIN_AFTER = 1.0  # seconds, if a child could not take its turn
FOR_EVER = 10 * 365 * 86_400.0  # seconds: Celery's time limits are not for runs

logger = steady_logger(__name__)


class CelerysChild(Line):
    """A child process of Celery's, as this process sees it from its first turn on."""

    tasks = memory = 0

    def __init__(self, connection: Connection, folder: Path, sender: type) -> None:
        super().__init__(connection)
        keep_apart(connection)
        self._folder = folder
        self.orders = Orders(self, sender)
        self.pid = 0  # it says that when it has a turn
        self.has_ended = False
        self._how: SimpleQueue[str] = SimpleQueue()  # has it ended, as Celery says

    def kill(self) -> None:
        """End it at once."""
        assert self.pid, "or it would be this process, and its group"  # noqa: S101
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    @property
    def mark(self) -> int:
        """The number of the order that it executed last, or 0 if that had ended."""
        return read_mark(self._folder, self.pid)

    def note_end(self, how: str) -> None:
        """Note, in words, how it has ended."""
        self._how.put(how)

    def end(self) -> str:
        """Wait for its end, which its side of the pipe has shown; return, in words, how it was."""
        self.has_ended = True
        self.close()
        if not hasattr(os, "waitid"):  # on macOS, before Python 3.13
            return self._how_by_celery()
        over = time.monotonic() + DEATH_TIMEOUT
        while time.monotonic() < over:
            try:
                ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:  # Celery has seen it first
                return self._how_by_celery()
            if ended:
                is_exit = ended.si_code == os.CLD_EXITED
                return exit_in_words(ended.si_status if is_exit else -ended.si_status)
            time.sleep(GLANCE_INTERVAL)
        self.kill()
        return "did not answer"

    def _how_by_celery(self) -> str:
        try:
            return self._how.get(timeout=DEATH_TIMEOUT)
        except Empty:
            return "has ended"


class CeleryPrefork(CeleryThreads):
    """Celery's child processes, which execute its own tasks as well."""

    def __init__(
        self,
        main_thread: MainThread,
        celery_worker: Any,
        make_request: MakeRequest,
        sender: type,
        done: Done,
    ) -> None:
        self._celery_worker = celery_worker
        super().__init__(main_thread, celery_worker, make_request, sender, done)
        self._turns = count(1)
        self._asked: set[int] = set()  # turns that have not begun
        self._having: dict[int, CelerysChild] = {}  # those that have one
        self._is_closed = False
        self._meeting_place = _open_meeting_place(self._serve)

    # How much it executes.

    @property
    def celerys_size(self) -> int:
        scaler = self._autoscaler
        return int(scaler.max_concurrency if scaler else self._celery_pool.num_processes)

    @property
    def room(self) -> int:
        """As of any pool; none while Celery has no broker, which is all that it then waits for."""
        return super().room if self._main_thread.is_connected else 0

    @property
    def _autoscaler(self) -> Any:
        return getattr(self._celery_worker, "autoscaler", None)

    # Ask for turns.

    def heed_new_connection(self) -> None:
        """Ask again: Celery forgets what waits for a child when it loses its broker."""
        for number in [*self._asked]:
            if self._take_off(number):
                self._hand_over()

    def _hand_over(self) -> None:
        number = next(self._turns)
        self._asked.add(number)
        self._main_thread.call_soon(partial(self._ask, number))

    def _ask(self, number: int) -> None:
        """Ask Celery to have a child take a turn. Called in the main thread."""
        if self._is_closed or number not in self._asked:  # it was asked for another one instead
            return
        self._celery_pool.apply_async(
            take_turn,
            (self._meeting_place.address, number),
            callback=partial(self._note_return, number),
            error_callback=partial(self._note_failure, number),
            **self._limits(),
        )
        if self._autoscaler:
            self._autoscaler.maybe_scale(number)

    def _limits(self) -> dict[str, float]:
        """Return what keeps Celery's time limits away, where they are set."""
        pool = self._celery_pool._pool
        limits = {"timeout": pool.timeout, "soft_timeout": pool.soft_timeout}
        return {name: FOR_EVER for name, seconds in limits.items() if seconds}

    def _note_return(self, number: int, nothing: Any) -> None:
        """Celery calls this in the main thread when a turn has ended; was it heard of here?"""
        if self._take_off(number):
            self._ask_again_later()

    def _note_failure(self, number: int, failure: Any) -> None:
        """Celery calls this in the main thread if a child has died in its turn, or failed."""
        error = failure.exception
        if child := self._having.pop(number, None):
            child.note_end(_in_words(str(error)))
        elif self._take_off(number) and not self._is_closed:
            if isinstance(error, WorkerLostError):
                self._hand_over()
            else:
                logger.error("A child process of Celery's could not take a turn: %r", error)
                self._ask_again_later()

    def _ask_again_later(self) -> None:
        self._celery_worker.timer.call_after(ASK_AGAIN_AFTER, self._hand_over)

    def _take_off(self, number: int) -> bool:
        """Return whether the turn was asked for, and has not begun; now it will not."""
        try:
            self._asked.remove(number)
        except KeyError:
            return False
        return True

    # Give orders, in a thread for each child.

    def _serve(self, connection: Connection) -> None:
        child = CelerysChild(connection, self._meeting_place.folder, self._sender)
        try:
            while True:
                match child.receive():
                    case TurnBegun(number, pid):
                        child.pid = pid
                        self._give_orders_in(number, child)
                    case OrdersReturned():
                        pass  # none: it had begun all of them when they were recalled
        except (EOFError, OSError):
            if child.pid and not child.has_ended:
                child.end()
        finally:
            child.close()
            forget_mark(self._meeting_place.folder, child.pid)
            self._have_celery_look()

    def _have_celery_look(self) -> None:
        """Have it replace a child that has ended, for which it may have looked a moment before."""
        self._main_thread.call_soon(self._celery_pool.maintain_pool)

    def _give_orders_in(self, turn: int, child: CelerysChild) -> None:
        if self._take_off(turn) and not self._is_closed:
            self._having[turn] = child
            try:
                self._give_orders(child)
            finally:
                self._having.pop(turn, None)
        child.send(TurnEnded())

    def _give_orders(self, child: CelerysChild) -> None:
        left = self._runs_a_turn
        while left > 0 and not child.has_ended:
            attempts = self._next_several(left)
            if not attempts:
                return
            left -= len(attempts)
            self._execute_in(child, attempts)
        self._hand_over()

    @property
    def _runs_a_turn(self) -> int:
        """One if Celery counts them, to replace the child after so many."""
        return 1 if self._celery_pool._pool._maxtasksperchild else RUNS_A_JOB

    def _next_several(self, most: int) -> list[Attempt]:
        """
        Return the next attempts: one, or as many as take a moment together, but no more than a fair
        share. One whose start is written before is by itself: it is known whether that has begun.
        """
        first = self._next_or_rest()
        if first is None or first.start_comes_first:
            return [first] if first else []
        share = len(self._waiting) // self.celerys_size
        attempts = [first]
        for _ in range(min(most - 1, share, int(self.claim_ahead.within(A_MOMENT)))):
            attempt = self._next()
            if attempt is None:
                break
            if attempt.start_comes_first:
                self._waiting.appendleft(attempt)
                break
            attempts.append(attempt)
        return attempts

    def _execute_in(self, child: CelerysChild, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            attempt.guarded_by(ChildGuard())
            self.note_begin(attempt, child.pid)
        try:
            self._follow_to_its_end(child, attempts)
        except BaseException as error:  # noqa: BLE001 - the thread must not end for it
            child.kill()
            child.has_ended = True
            for attempt in child.orders.close().values():
                self._end(attempt, None if attempt.began is None else judge(attempt, error))

    def _follow_to_its_end(self, child: CelerysChild, attempts: list[Attempt]) -> None:
        try:
            self._follow(child, attempts)
        except (EOFError, OSError):
            self._note_death(child)

    def _follow(self, child: CelerysChild, attempts: list[Attempt]) -> None:
        fresh = [attempt for attempt in attempts if not self._is_too_late(attempt)]
        late = [attempt for attempt in attempts if attempt not in fresh]
        for attempt in [*late, *child.orders.give(fresh)]:
            self._end(attempt, Released())
        while child.orders:
            for attempt, outcome in child.orders.hear():
                self._end(attempt, outcome)

    def _is_too_late(self, attempt: Attempt) -> bool:
        return self._is_closed or self._is_stale(attempt)

    def _note_death(self, child: CelerysChild) -> None:
        """Blame the run that was executed, and no other."""
        how, executed = child.end(), child.mark
        for number, attempt in reversed(child.orders.close().items()):
            if number == executed:
                if attempt.began is None:
                    attempt.begin()
                outcome = outcome_of_death(attempt, how, is_wanted=self._is_closed)
            else:  # it has not begun; or it has ended, and that was not said any more
                outcome = None if attempt.began is None else attempt.abandon()
            self._end(attempt, outcome)

    def _end(self, attempt: Attempt, outcome: Outcome | None) -> None:
        """Note that it has ended, or with None that it waits again."""
        self.note_end(attempt)
        if outcome is None:
            attempt.guarded_by(Guard())
            self.requests.reserve([attempt])
            self._waiting.appendleft(attempt)
        else:
            self.vacate()
            self._done(attempt, outcome)

    # What has waited in a child for too long.

    def widen(self) -> None:
        super().widen()
        for child in [*self._having.values()]:
            child.orders.look(RECALL_AFTER)
            child.orders.recall(RECALL_AFTER)

    @property
    def waits_since(self) -> float:
        given = [child.orders.waits_since for child in [*self._having.values()]]
        return min(super().waits_since, *given, math.inf)

    def withdraw(self) -> list[Attempt]:
        for child in [*self._having.values()]:
            child.orders.withdraw()  # they end in a moment
        return super().withdraw()

    # Come to an end.

    def close(self) -> None:
        """Order nothing more, and end the children that execute a run, which is released."""
        self._is_closed = True
        self._ends_by = time.monotonic() + EXIT_TIMEOUT
        self._meeting_place.close()
        for child in [*self._having.values()]:
            child.kill()

    def join(self) -> bool:
        """Wait until what is executed has been ended."""
        while self.executing and time.monotonic() < self._ends_by:
            time.sleep(0.01)
        return super().join()


def _open_meeting_place(serve: Callable[[Connection], None]) -> MeetingPlace:
    try:
        return MeetingPlace(serve)
    except OSError as error:
        raise SystemExit(
            "With --pool prefork, this worker needs a socket in the folder for temporary files, "
            f"{tempfile.tempdir!r}, which cannot be made there: {error}. Set TMPDIR to a folder "
            "that this user can write, with a path of less than 70 characters, or start this "
            "worker with --pool threads."
        ) from error


def _in_words(error: str) -> str:
    """Return how a child has ended, by what Celery says: "... signal 9 (SIGKILL) Job: 3."."""
    found = re.search(r"(signal|exitcode) (-?\d+)", error)
    if not found:
        return f"has ended: {error}"
    number = int(found[2])
    return exit_in_words(-number if found[1] == "signal" else number)
