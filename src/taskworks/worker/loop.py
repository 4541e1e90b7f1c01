"""
The worker: claim -> submit -> wait, in one thread that does all the writing.

Its pools execute; what became of an attempt comes back through the inbox.
"""

import math
import os
import platform
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any
from uuid import UUID, uuid4

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.captured_logs import keeping_lines
from taskworks.conf import conf
from taskworks.database.background import BackgroundThread
from taskworks.database.connections import reserved_connection
from taskworks.database.outage import Outage
from taskworks.duties.bookkeeping import Bookkeeping
from taskworks.duties.heartbeat import Heartbeat
from taskworks.duties.housekeeping import Housekeeping
from taskworks.duties.rescue import wait_for_receivers
from taskworks.duties.sampling import Sampling
from taskworks.duties.scheduler import Scheduler
from taskworks.duties.unblock import Followers, ParkedRuns, unblock_all
from taskworks.duties.workflows import EndedMembers
from taskworks.execution import (
    Attempt,
    Outcome,
    Reason,
    Released,
    Retried,
    judge_stuck,
    prepare,
)
from taskworks.execution.task_connections import leave_connections, tidy_connections
from taskworks.framework import BaseTaskBackend
from taskworks.logs import steady_logger
from taskworks.models import TaskRun
from taskworks.models.worker import Request
from taskworks.options.retention import retention_of
from taskworks.recording.events import Observer, RunEvents, Subscriber
from taskworks.recording.ledger import Ledger
from taskworks.recording.subscribers import RunLog, RunSignals, ToInstruments, Watchers
from taskworks.statistics.collector import Collector, NoCollector
from taskworks.statistics.flushing import Flushing
from taskworks.statistics.marks import mark_release
from taskworks.store import store_for
from taskworks.worker.claiming import NoWakeUps, WakeUpSource
from taskworks.worker.claiming.intake import Intake
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.claiming.slots import FreedSlots
from taskworks.worker.claiming.sources import wake_up_source
from taskworks.worker.facts import lasting_facts, passing_facts
from taskworks.worker.first_starts import FirstStarts
from taskworks.worker.pools import Done, Pools, PoolSet, Sizes
from taskworks.worker.probes import Probes
from taskworks.worker.registration import Registration
from taskworks.worker.shutdown import Shutdown, Stage
from taskworks.worker.stopping import Stopper

LAST_TRIES = 3  # of a stopping worker to write, before it leaves the rest to others
RETRY_STUCK_AFTER = timedelta(seconds=1)  # by then this process, and the stuck attempt, has gone
RECEIVERS_WITHIN = 2.0  # seconds for the receivers of task_rescued when the worker stops
MAX_WAIT_AHEAD = 0.1  # seconds that a claimed run may wait to begin, before it is given back
STRAY_INTERVAL = 30.0  # seconds between two looks for claims whose answer was lost
MAX_WAIT = 1.0  # seconds until the worker looks up, whatever it waits for

logger = steady_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a worker claims, and how much of it at once."""

    queues: Queues
    sizes: Sizes = field(default_factory=Sizes)
    interval: float = 1.0  # seconds between two looks at queues that stay empty
    batch: bool = False  # stop when nothing is ready and nothing runs
    max_tasks: int | None = None  # stop after this many runs
    label: str = ""


class Worker:
    """
    One worker of a backend; ``run`` returns when its work is done. ``wants_restart`` is true then
    if a task is left that cannot be stopped, and the process should execute itself anew.

    ``announce`` is called with each id that the worker takes, before it registers by that.
    ``subscribers`` are told of outcomes after the engine's own, ``probes`` that it lives. A process
    that embeds a worker may give it other pools, and another source of wake-ups, which is made with
    the arguments of ``NotificationListener``.
    """

    def __init__(
        self,
        backend: BaseTaskBackend,
        options: Options,
        observer: Observer | None = None,
        announce: Callable[[UUID], None] | None = None,
        *,
        subscribers: Iterable[Subscriber] = (),
        make_pools: Callable[[Sizes, type, Done], PoolSet] = Pools,
        make_wake_ups: Callable[..., WakeUpSource] = wake_up_source,
        probes: Probes | None = None,
    ) -> None:
        self.backend, self.options = backend, options
        self._probes = probes or Probes()
        self.label = options.label or f"{platform.node()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
        self.shutdown = Shutdown()
        self._observer = observer or Observer()
        self._store = store_for(backend.alias)
        self._inbox: SimpleQueue[tuple[Attempt, Outcome] | None] = SimpleQueue()
        self._has_noted_stop = False
        self._has_made_ready = Event()
        self._outage = Outage()
        self._collector = Collector() if conf().statistics else NoCollector()
        self._registration = Registration(
            self._store,
            self.label,
            lambda: lasting_facts(backend.alias, options.queues, options.sizes),
            announce,
            self._collector.rescued,
        )
        self._make_ledger(subscribers)
        self._pools = make_pools(options.sizes, type(backend), self._receive)
        self._starts = FirstStarts(self._ledger, self._pools)
        self._stopper = Stopper(self._store, lambda: self.id, self._abandon)
        self._make_threads(make_wake_ups)
        self._intake = Intake(
            self._store, backend.alias, options.queues, options.interval, self._wake_ups
        )
        self._looked_for_strays_at = time.monotonic()
        self._is_drained = False
        self._has_said_that_it_drains = False
        self.leaves_tasks_behind = False  # once it has ended: whether a task is still executed

    def _make_ledger(self, subscribers: Iterable[Subscriber]) -> None:
        """All that hears of the outcomes of attempts is in this list, in the order of the calls."""
        self._watchers, self._followers = Watchers(self._store), Followers(self._store)
        self._parked = ParkedRuns(self._store)
        self._ended_members = EndedMembers(self._store)
        self._freed_slots = FreedSlots(self._store, self._limit_has_slots, self._limit_is_shared)
        self._events = RunEvents(
            [
                self._watchers,
                ToInstruments(),
                RunLog(),
                RunSignals(type(self.backend)),
                self._followers,
                self._ended_members,
                self._freed_slots,
                self._collector,
                *subscribers,
                self._observer,
            ]
        )
        self._ledger = Ledger(self._store, self._events, self._wake)
        self._flushing = Flushing(
            self._store, self._collector, lambda: self.id, conf().heartbeat_interval
        )

    def _make_threads(self, make_wake_ups: Callable[..., WakeUpSource]) -> None:
        """Make the threads beside this one. A batch has only the heartbeat."""
        self._wake_ups: WakeUpSource = NoWakeUps()
        self._heartbeat = Heartbeat(
            self._store,
            lambda: self._registration.living_id,
            self._given_up,
            facts=self._passing_facts,
            unblocks=not self.options.batch,
        )
        self._heartbeat.asked = self._heed_request
        self._heartbeat.beaten = self._beaten
        self._heartbeat.rescued = self._collector.rescued
        self._heartbeat.made_ready = self._note_made_ready
        self._threads: list[WakeUpSource | BackgroundThread] = [self._heartbeat]
        if self.options.batch:
            return
        scheduler = Scheduler(
            self._store, is_notified=lambda: self._store.can_notify and self._wake_ups.works
        )
        self._heartbeat.schedules_enabled = scheduler.begin
        self._wake_ups = make_wake_ups(
            self._store,
            self.backend.alias,
            self.options.queues,
            self._wake,
            watch=self._watchers.watch,
            wake_scheduler=scheduler.wake,
        )
        housekeeping = Housekeeping(self._store, retention_of(self.backend))
        bookkeeping = Bookkeeping(self._store)
        self._heartbeat.bookkeeping_due = bookkeeping.wake
        sampling = Sampling(self._store)
        self._heartbeat.gauges_due = sampling.wake
        self._threads += [self._wake_ups, housekeeping, scheduler, bookkeeping, sampling]
        scheduler.wake()

    @property
    def id(self) -> UUID:
        """The id of its row; a new one after it was given up."""
        return self._registration.id

    @property
    def released(self) -> int:
        """How many runs the worker has given back."""
        return self._ledger.released

    @property
    def wants_restart(self) -> bool:
        """True if a task cannot be stopped, and nobody has asked the worker to stop."""
        return self.shutdown.is_restart

    def run(self) -> None:
        """Work until asked to stop, or until a batch or ``max_tasks`` is done."""
        with reserved_connection(self._store.alias), keeping_lines():
            self._run()

    def _run(self) -> None:
        self._registration.begin()
        self._probes.begin(self.label)
        if conf().statistics:
            mark_release(self._store)
        for thread in self._threads:
            thread.start()
        self._observer.begins(self.label, str(self.options.queues))
        logger.info("Worker %s started; it takes runs from %s.", self.label, self.options.queues)
        try:
            while not self._is_done():
                self._turn()
        finally:
            self._pools.close()
            for thread in reversed(self._threads):  # the heartbeat last
                thread.stop()
            self._leave()
            wait_for_receivers(RECEIVERS_WITHIN)
            self._probes.end(goes_on=self.wants_restart)
            self.leaves_tasks_behind = not self._pools.join()
            self._observer.ended(self.released)
            logger.info("Worker %s has stopped; runs given back: %d.", self.label, self.released)
            self.shutdown.over.set()

    def stop(self) -> None:
        """Drain; asked again, release. Safe in a signal handler, and from any thread."""
        self.shutdown.ask()
        self._wake()

    def _turn(self) -> None:
        self._probes.turn()
        self._stop_and_release()
        try:
            self._ledger.record()
            self._unblock_followers()
            self._use_freed_slots()
            self._register_again()
            self._claim_and_submit()
            self._heed_pauses()
            self._heed_held_keys()
            self._write_starts_first()
            self._end_workflows()
            self._release_strays()
        except DatabaseError as error:
            tidy_connections()
            if not self._goes_on_after(error):
                self._wait_out(min(self._outage.note_error(error), self.shutdown.seconds_left))
        else:
            self._wait(0 if self._is_done() else self._seconds_to_wait())

    def _goes_on_after(self, error: DatabaseError) -> bool:
        """Return whether it was about rows that others have locked, which hold up nothing else."""
        try:
            return self._ledger.goes_on_after(error)
        except DatabaseError:
            return False

    # Claim and submit.

    def _unblock_followers(self) -> None:
        """
        Unblock at once what waits for runs that have just ended, or for pauses; a sweep would do it
        later.
        """
        has_unblocked = self._followers.unblock()
        if self._parked.unblock() or has_unblocked or self._has_made_ready.is_set():
            self._has_made_ready.clear()
            self._intake.wake()

    def _end_workflows(self) -> None:
        """End those whose last members have just ended; a sweep would do it later."""
        # After the claim, which often brings more members: then there is nothing to ask.
        if self._ended_members.look_after(self._ledger.runs):
            self._intake.wake()
            self._is_drained = False  # what has waited for a workflow is ready by now

    def _note_made_ready(self) -> None:
        # Called in the heartbeat's thread, which has rescued or unblocked runs.
        self._has_made_ready.set()
        self._wake()

    def _use_freed_slots(self) -> None:
        """
        Look at once for runs that have waited for the slots of those that have just ended, or for
        their rate.
        """
        if self._freed_slots.take():
            self._intake.look_for_limited()
        self._intake.take_openings()

    def _limit_has_slots(self, limit: str) -> bool:
        return self._intake.has_slots(limit)

    def _limit_is_shared(self, limit: str) -> bool:
        return self._intake.is_shared(limit)

    def _claim_and_submit(self) -> None:
        """Claim what can start soon, and submit it. Slots that are left then are for others."""
        if room := self._intake.room_due(self._room()):
            runs = self._claim(room)
            self._submit(runs)
            self._freed_slots.note_claimed(runs)
        self._freed_slots.tell_others()

    def _claim(self, room: dict[str, int]) -> list[TaskRun]:
        if not (self.options.batch and len(self._ledger) == 0 and self._has_nothing_to_rescue()):
            return self._intake.claim(self.id, room, self._limit, self._pools.empty)
        unblock_all(self._store)
        empty = self._pools.empty
        runs = self._intake.claim_the_last(self.id, self._room(), self._limit, empty)
        self._is_drained = not runs and not self._intake.may_have_missed_some
        return runs

    def _room(self) -> dict[str, int]:
        """
        How many runs of each executor could start soon. Where none may be claimed ahead, there is
        room only once a slot is empty.
        """
        if not self._may_begin or self._left <= 0:
            return {}
        room = self._pools.room
        if not_ahead := self._intake.not_ahead:
            empty = self._pools.empty
            room = {**room, **{executor: 0 for executor in not_ahead if not empty.get(executor)}}
        return {executor: free for executor, free in room.items() if free > 0}

    @property
    def _may_begin(self) -> bool:
        """True while attempts may begin here."""
        return self.shutdown.stage is Stage.WORKING and self._registration.is_registered

    @property
    def _left(self) -> float:
        """How many more runs this worker may take; infinite without ``max_tasks``."""
        if self.options.max_tasks is None:
            return math.inf
        return self.options.max_tasks - self._ledger.finished - len(self._ledger)

    @property
    def _limit(self) -> int | None:
        return None if self.options.max_tasks is None else int(self._left)

    def _submit(self, runs: list[TaskRun]) -> None:
        attempts = [Attempt(run, self.label, finisher=self._store) for run in runs]
        self._ledger.take(attempts)
        at_once, later = list[Attempt](), list[Attempt]()
        for attempt in attempts:
            if self._prepared(attempt):
                (later if attempt.start_comes_first else at_once).append(attempt)
        self._ledger.submitted(at_once)
        self._pools.submit(at_once)
        self._starts.hold(later)

    def _prepared(self, attempt: Attempt) -> bool:
        outcome = prepare(attempt)
        if not attempt.run.unreadable:
            outcome = self._intake.held_up(attempt.run) or outcome
        held_keys = self._ledger.held_keys
        if held_keys.to_close and held_keys.holds_up(attempt.run):
            outcome = Released()
        if outcome:
            self._ledger.settle(attempt, outcome)
        return outcome is None

    def _write_starts_first(self) -> None:
        """Submit the attempts that wait for their starts to be written."""
        if self._registration.is_registered:
            self._starts.write()

    def _has_nothing_to_rescue(self) -> bool:
        """
        Return whether no dead worker's run is left that a batch would have to rescue: one that it
        would execute, or one of any queue that takes a slot of a limit.
        """
        silence = timedelta(seconds=conf().worker_timeout)
        lost = self._store.awaiting_rescue(self.backend.alias, silence)
        return not any(
            has_slot or self.options.queues.takes(queue_name) for queue_name, has_slot in lost
        )

    def _release_strays(self) -> None:
        """
        Release runs that we have claimed without getting the answer. After an outage that is
        likely; a server may also execute such a claim late, so we look again and again.
        """
        now = time.monotonic()
        if self._outage.is_on or now - self._looked_for_strays_at >= STRAY_INTERVAL:
            self._store.release_strays(self.id, self._ledger.run_ids)
            self._looked_for_strays_at = now
            self._outage.clear()

    # Look after what is in hand.

    def _stop_and_release(self) -> None:
        self._note_stop()
        if not self._stopper.seconds or self.shutdown.stage > Stage.WORKING:
            is_asking = self.shutdown.stage is Stage.ASKING
            self._stopper.look(self._ledger.unsettled, is_asking=is_asking)
            # What cannot begin soon, or everything if we stop.
            self._release_what_waits(MAX_WAIT_AHEAD if self._may_begin else 0.0)

    def _note_stop(self) -> None:
        """Log once that the worker stops, and what it waits for."""
        if self.shutdown.stage > Stage.WORKING and not self._has_noted_stop:
            self._has_noted_stop = True
            self._probes.note_end()
            runs = len(self._ledger.unsettled)
            logger.info("Worker %s is stopping; runs that it has begun: %d.", self.label, runs)

    def _heed_pauses(self) -> None:
        """
        Release what was claimed ahead once there is a pause: it may be of what is not to begin.
        """
        look = self._intake.is_outdated and self._ledger.has_waiting
        if self._intake.has_new_pause(look=look):
            self._release_what_waits(0.0)
        self._parked.note_resumed(self._intake.take_resumed())

    def _heed_held_keys(self) -> None:
        """Release what was claimed ahead once a task has held a key of that."""
        held = self._ledger.held_keys.held
        if held and self._ledger.has_waiting_of(held):
            self._release_what_waits(0.0)
        held.clear()

    def _release_what_waits(self, longest: float) -> None:
        """Release what was claimed ahead and has not begun for ``longest`` seconds."""
        for attempt in [*self._pools.withdraw(longest), *self._starts.withdraw(longest)]:
            self._ledger.settle(attempt, self._intake.held_up(attempt.run) or Released())

    def _passing_facts(self) -> dict[str, Any]:
        # Called in the heartbeat's thread.
        return passing_facts(self.options.queues, self.options.sizes, self._pools.empty)

    def _beaten(self) -> None:
        # Called in the heartbeat's thread.
        self._flushing.flush_if_due()
        self._probes.beat()

    def _given_up(self, worker: UUID) -> None:
        # Called in the heartbeat's thread.
        self._registration.lose(worker)
        self._wake()

    def _heed_request(self, to: str) -> None:
        # Called in the heartbeat's thread, with each heartbeat from now on.
        if to in Request.values and self.shutdown.request(drain=to == Request.DRAIN):
            logger.info("Worker %s was asked to %s.", self.label, to)
            self._wake()

    def _register_again(self) -> None:
        """Register again after being given up, once all that was claimed before has ended."""
        if self._registration.is_registered:
            return
        if not self._ledger.unsettled:
            self._registration.renew()
            self._heartbeat.restart_silence()

    def _abandon(self, attempt: Attempt, reason: Reason) -> None:
        """
        Settle the attempt of a task that does not stop, without waiting for it. A retry has to
        wait until this process, and the task with it, has gone.
        """
        where = attempt.guard.stack()
        outcome = judge_stuck(attempt, reason.exception().with_traceback(where))
        self._events.stuck(attempt)
        self.shutdown.restart()
        if isinstance(outcome, Retried):
            delay = max(outcome.delay, RETRY_STUCK_AFTER)
            self._ledger.settle_after_exit(attempt, replace(outcome, delay=delay))
        else:
            self._receive(attempt, outcome)

    # Wait.

    def _seconds_to_wait(self) -> float:
        return min(
            0.0 if self._parked.may_have_more or self._followers.may_have_more else MAX_WAIT,
            self._intake.seconds(self._room()),
            self._ledger.seconds,
            self._stopper.seconds if len(self._ledger) else math.inf,
            self.shutdown.seconds_left,
        )

    def _wait(self, seconds: float) -> None:
        """Wait until something comes in, or this long; then take in all that has come."""
        try:
            messages = [self._inbox.get(seconds > 0, max(seconds, 0))]
        except Empty:
            if seconds > 0:
                self._pools.widen()
            return
        self._pools.widen()
        with suppress(Empty):
            while True:
                messages.append(self._inbox.get_nowait())
        self._take_in(messages)

    def _wait_out(self, seconds: float) -> None:
        """Wait this long for the database, or until somebody asks the worker to stop."""
        stage, over = self.shutdown.stage, time.monotonic() + seconds
        self._wait(0)  # what has ended is not to be stopped
        while self.shutdown.stage is stage and (left := over - time.monotonic()) > 0:
            self._probes.turn()
            self._stop_and_release()
            self._wait(min(left, MAX_WAIT, self._stopper.seconds))
        leave_connections()  # they may have died, unnoticed

    def _wake(self) -> None:
        self._inbox.put(None)

    def _receive(self, attempt: Attempt, outcome: Outcome) -> None:
        # Called in the thread that executed.
        self._inbox.put((attempt, outcome))

    def _take_in(self, messages: Iterable[tuple[Attempt, Outcome] | None]) -> None:
        ended = [message for message in messages if message is not None]
        for attempt, outcome in ended:
            self._ledger.settle(attempt, outcome)
        self._heed_held_keys()  # at once, and not when the database has answered
        if ended:
            self._pools.note([attempt for attempt, _ in ended])
            self._intake.hurry()
        if self.shutdown.stage is Stage.DRAINING and not self._has_said_that_it_drains:
            self._has_said_that_it_drains = True
            if not self.shutdown.is_requested:  # who asked through the database is elsewhere
                self._observer.draining(len(self._ledger))

    # Come and go.

    def _is_done(self) -> bool:
        if self.shutdown.stage is Stage.RELEASING:
            return True
        return len(self._ledger) == 0 and self._takes_no_more()

    def _takes_no_more(self) -> bool:
        return (
            self.shutdown.stage > Stage.WORKING
            or self._left <= 0 < (self.options.max_tasks or 0)
            or self._is_drained
        )

    def _leave(self) -> None:
        """Write what has ended, give back what has not, and sign off."""
        self._wait(0)
        self._try(self._ledger.record)
        self._try(self._ledger.give_back)
        self._try(self._freed_slots.tell_others)
        self._flushing.flush()
        self._try(self._registration.leave)

    def _try(self, step: Callable[[], None]) -> None:
        """Try more than once: a connection may have died unnoticed, and the next one be better."""
        for _ in range(LAST_TRIES):
            try:
                return step()
            except DatabaseError as error:
                tidy_connections()
                self._goes_on_after(error)
                problem = error
        logger.warning("The worker could not sign off; others will rescue its runs: %s", problem)
        return None
