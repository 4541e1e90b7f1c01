"""A worker's heartbeat, and its check on the other workers."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from taskworks import real_time as time
from taskworks.conf import conf
from taskworks.database.background import BackgroundThread
from taskworks.duties.rescue import Tell, give_up, rescue
from taskworks.duties.unblock import Unblocking
from taskworks.duties.workflows import WorkflowSweep
from taskworks.store import Store
from taskworks.store.rescuing import Overview

# Of the time between two heartbeats:
SWEEPING = 0.05  # for blocked runs, if there are very many
SWEEPING_WORKFLOWS = 0.2  # for workflows, if there are many whose end nobody has written
MAX_SWEEP = 0.25  # for each sweep, or the next heartbeat would come late


class Heartbeat(BackgroundThread):
    """
    Sends a heartbeat every few seconds. After each one it rescues the runs of silent workers,
    unblocks runs whose predecessor has succeeded, and ends workflows whose members have.

    ``worker`` returns the worker's id, or None while it has none because it was given up; then
    there is no heartbeat. ``facts`` are more columns of its row to write. ``given_up`` is called
    with the id of the worker if it finds itself given up, ``made_ready`` after a heartbeat that has
    made runs ready, ``schedules_enabled`` after each that sees an enabled schedule, ``asked`` after
    each that sees that the worker was asked to end, with what, ``bookkeeping_due`` after each
    that sees statistics to compact or failures to group, ``gauges_due`` after each that sees that
    nobody has sampled how much waits; these must not block. ``beaten`` is called after each
    heartbeat that was sent, ``rescued`` with runs that it has rescued.

    With ``unblocks=False`` it leaves the blocked runs to the worker. A batch could otherwise find
    nothing to execute while this thread is about to unblock a run, and end too early.
    """

    keeps_connection = True

    def __init__(
        self,
        store: Store,
        worker: Callable[[], UUID | None],
        given_up: Callable[[UUID], None],
        *,
        facts: Callable[[], Mapping[str, Any]] = dict,
        unblocks: bool = True,
    ) -> None:
        super().__init__("heartbeat", store.alias, "sending heartbeats")
        self.stop_timeout = conf().heartbeat_interval
        self._store, self._worker, self._given_up = store, worker, given_up
        self._facts = facts
        self.made_ready: Callable[[], None] = lambda: None
        self.schedules_enabled: Callable[[], None] = lambda: None
        self.asked: Callable[[str], None] = lambda to: None
        self.beaten: Callable[[], None] = lambda: None
        self.rescued: Tell = lambda runs: None
        self.bookkeeping_due: Callable[[], None] = lambda: None
        self.gauges_due: Callable[[], None] = lambda: None
        self._unblocks, self._unblocking = unblocks, Unblocking(store)
        self._workflows = WorkflowSweep(store)
        self._clock_jumps = ClockJumpGuard()
        self.restart_silence()

    def restart_silence(self) -> None:
        """Trust the other workers' silence only from now on: the worker has just registered."""
        self._steady_since = self._last_beat = time.monotonic()

    def first_pause(self) -> float:
        return conf().heartbeat_interval

    def pause_after_failure(self, seconds: float) -> float:
        return conf().heartbeat_interval

    def step(self) -> float:
        self.beat()
        return conf().heartbeat_interval

    def beat(self) -> None:
        """Send one heartbeat, and look at the other workers."""
        worker = self._worker()
        if worker is None:
            return
        if not self._store.heartbeat(worker, self._facts()):
            if not self.is_stopping:
                self._given_up(worker)
            return
        self._note_beat()
        self._look_around(worker)
        self.beaten()

    def _look_around(self, worker: UUID) -> None:
        silence = timedelta(seconds=conf().worker_timeout)
        overview = self._store.overview(silence, witness=worker)
        if overview.asked_to:
            self.asked(overview.asked_to)
        if overview.heartbeat_at:
            self._clock_jumps.note(overview.heartbeat_at, silence)
        given_up = (
            overview.silent
            and self._is_steady()
            and self._clock_jumps.are_over(silence)
            and give_up(self._store, silence, worker)
        )
        if (overview.lost or given_up) and self._rescue():
            self.made_ready()
        if self._unblocks and self._sweep(overview):
            self.made_ready()
        if overview.scheduled:
            self.schedules_enabled()
        if overview.bookkeeping_due:
            self.bookkeeping_due()
        if overview.gauges_due:
            self.gauges_due()

    def _sweep(self, overview: Overview) -> bool:
        """Go on with the sweeps of what waits; return whether a run became ready."""
        has_unblocked = overview.blocked and self._has_unblocked()
        return (overview.workflow and self._has_ended_workflows()) or has_unblocked

    def _rescue(self) -> int:
        return rescue(self._store, within=conf().heartbeat_interval, tell=self.rescued)

    def _has_unblocked(self) -> bool:
        """
        Go on with the sweep of blocked runs, for a share of the time; return whether one became
        ready. Very many may be parked, and others must not wait until the sweep is through them.
        """
        interval = conf().heartbeat_interval
        until, has_unblocked = time.monotonic() + interval * SWEEPING, False
        while True:
            has_more = self._unblocking.step(within=interval * MAX_SWEEP)
            has_unblocked |= self._unblocking.has_unblocked
            if not has_more or self.is_stopping or time.monotonic() >= until:
                return has_unblocked

    def _has_ended_workflows(self) -> bool:
        """
        Go on with the sweep of workflows: by one step, or as long as it finds something, for a
        share of the time; return whether it has.
        """
        interval = conf().heartbeat_interval
        until, has_changed = time.monotonic() + interval * SWEEPING_WORKFLOWS, False
        while True:
            has_more = self._workflows.step(within=interval * MAX_SWEEP)
            has_changed |= self._workflows.has_changed
            is_idle = not (has_more and self._workflows.has_changed)
            if is_idle or self.is_stopping or time.monotonic() >= until:
                return has_changed

    def _note_beat(self) -> None:
        now = time.monotonic()
        if now - self._last_beat > 2 * conf().heartbeat_interval:
            self._steady_since = now
        self._last_beat = now

    def _is_steady(self) -> bool:
        # A database that was unreachable has silenced everyone: none of them has died of that.
        return time.monotonic() - self._steady_since >= conf().worker_timeout


class ClockJumpGuard:
    """
    Notices when the database's clock has jumped against this process's.

    After a jump every other worker looks silent, although none has missed a heartbeat. The clock
    jumps when it is set, when the machine was suspended, and in an hour that is skipped where
    times are stored without time zones.
    """

    def __init__(self) -> None:
        self._latest: tuple[datetime, float] | None = None
        self._jumped_at = -math.inf

    def note(self, heartbeat_at: datetime, silence: timedelta) -> None:
        """
        Note when, by the database's clock, the worker's own latest heartbeat was, which it has just
        sent. If the clocks have moved apart since the one before by half of ``silence``, one of
        them has jumped.
        """
        now = time.monotonic()
        if self._latest:
            before, moment = self._latest
            if abs(heartbeat_at - before - timedelta(seconds=now - moment)) > silence / 2:
                self._jumped_at = now
        self._latest = heartbeat_at, now

    def are_over(self, silence: timedelta) -> bool:
        """Return whether others have had ``silence`` for a heartbeat since the latest jump."""
        return time.monotonic() - self._jumped_at >= silence.total_seconds()
