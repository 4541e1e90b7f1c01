"""
The worker: claim -> submit -> wait, in one thread that does all the writing.

Its pools execute; what became of an attempt comes back through the inbox.
"""

import math
import os
import platform
from collections.abc import Callable, Iterable
from uuid import UUID, uuid4

from django.db import Error as DatabaseError

from taskworks import real_time as time
from taskworks.captured_logs import keeping_lines
from taskworks.conf import conf
from taskworks.database.connections import reserved_connection
from taskworks.database.outage import Outage
from taskworks.duties.rescue import has_some_to_rescue, wait_for_receivers
from taskworks.duties.unblock import unblock_all
from taskworks.execution import Attempt, Released, prepare
from taskworks.execution.task_connections import leave_connections, tidy_connections
from taskworks.framework import BaseTaskBackend
from taskworks.logs import steady_logger
from taskworks.models import TaskRun
from taskworks.recording.events import Observer, RunEvents, Subscriber
from taskworks.recording.ledger import Ledger
from taskworks.recording.subscribers import RunLog, RunSignals, ToInstruments, Watchers
from taskworks.statistics.collector import Collector, NoCollector
from taskworks.statistics.flushing import Flushing
from taskworks.statistics.marks import mark_release
from taskworks.store import store_for
from taskworks.worker.background_threads import BackgroundThreads
from taskworks.worker.claiming import WakeUpSource
from taskworks.worker.claiming.intake import Intake
from taskworks.worker.claiming.sources import wake_up_source
from taskworks.worker.consequences import Consequences
from taskworks.worker.facts import lasting_facts
from taskworks.worker.first_starts import FirstStarts
from taskworks.worker.inbox import Inbox, Message
from taskworks.worker.options import Options
from taskworks.worker.pools import Done, Pools, PoolSet, Sizes
from taskworks.worker.probes import Probes
from taskworks.worker.registration import Registration
from taskworks.worker.shutdown import Shutdown, Stage
from taskworks.worker.stopping import Stopper

LAST_TRIES = 3  # of a stopping worker to write, before it leaves the rest to others
RECEIVERS_WITHIN = 2.0  # seconds for the receivers of task_rescued when the worker stops
MAX_WAIT_AHEAD = 0.1  # seconds that a claimed run may wait to begin, before it is given back
STRAY_INTERVAL = 30.0  # seconds between two looks for claims whose answer was lost
MAX_WAIT = 1.0  # seconds until the worker looks up, whatever it waits for

logger = steady_logger(__name__)


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
        self.label = options.label or f"{platform.node()[:40]}-{os.getpid()}-{uuid4().hex[:8]}"
        self.shutdown = Shutdown()
        self.leaves_tasks_behind = False  # once it has ended: whether a task is still executed
        self._observer, self._probes = observer or Observer(), probes or Probes()
        self._store = store_for(backend.alias)
        self._inbox = Inbox()
        self._outage = Outage()
        self._collector = Collector() if conf().statistics else NoCollector()
        self._flushing = Flushing(
            self._store, self._collector, lambda: self.id, conf().heartbeat_interval
        )
        self._registration = Registration(
            self._store,
            self.label,
            lambda: lasting_facts(backend.alias, options.queues, options.sizes),
            announce,
            self._collector.rescued,
        )
        self._pools = make_pools(options.sizes, type(backend), self._inbox.receive)
        self._watchers = Watchers(self._store)
        self._threads = self._new_threads(make_wake_ups)
        self._intake = Intake(
            self._store, backend.alias, options.queues, options.interval, self._threads.wake_ups
        )
        self._consequences = Consequences(self._store, self._intake, self._threads.has_made_ready)
        events = self._new_events(subscribers)
        self._ledger = Ledger(self._store, events, self._inbox.wake)
        self._in_hand = self._ledger.in_hand
        self._starts = FirstStarts(self._ledger, self._pools)
        self._stopper = Stopper(
            self._store,
            lambda: self.id,
            ledger=self._ledger,
            events=events,
            shutdown=self.shutdown,
            receive=self._inbox.receive,
        )
        self._looked_for_strays_at = time.monotonic()
        self._is_drained = self._has_noted_stop = self._has_said_that_it_drains = False

    def _new_threads(self, make_wake_ups: Callable[..., WakeUpSource]) -> BackgroundThreads:
        return BackgroundThreads(
            self._store,
            self.backend,
            self.options,
            registration=self._registration,
            shutdown=self.shutdown,
            pools=self._pools,
            probes=self._probes,
            flushing=self._flushing,
            watchers=self._watchers,
            rescued=self._collector.rescued,
            wake=self._inbox.wake,
            make_wake_ups=make_wake_ups,
        )

    def _new_events(self, subscribers: Iterable[Subscriber]) -> RunEvents:
        """All that hears of the outcomes of attempts is in this list, in the order of the calls."""
        return RunEvents(
            [
                self._watchers,
                ToInstruments(),
                RunLog(),
                RunSignals(type(self.backend)),
                *self._consequences.subscribers,
                self._collector,
                *subscribers,
                self._observer,
            ]
        )

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
        self._threads.start()
        self._observer.begins(self.label, str(self.options.queues))
        logger.info("Worker %s started; it takes runs from %s.", self.label, self.options.queues)
        try:
            while not self._is_done():
                self._turn()
        finally:
            self._pools.close()
            self._threads.stop()
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
        self._inbox.wake()

    def _is_done(self) -> bool:
        if self.shutdown.stage is Stage.RELEASING:
            return True
        return len(self._in_hand) == 0 and self._takes_no_more()

    def _takes_no_more(self) -> bool:
        return (
            self.shutdown.stage > Stage.WORKING
            or self._left <= 0 < (self.options.max_tasks or 0)
            or self._is_drained
        )

    @property
    def _left(self) -> float:
        """How many more runs this worker may take; infinite without ``max_tasks``."""
        if self.options.max_tasks is None:
            return math.inf
        return self.options.max_tasks - self._ledger.finished - len(self._in_hand)

    def _turn(self) -> None:
        self._probes.turn()
        self._stop_and_release()
        try:
            self._ledger.record()
            self._consequences.unblock()
            self._consequences.use_freed_slots()
            self._register_again()
            self._claim_and_submit()
            self._heed_pauses()
            self._heed_held_keys()
            self._write_starts_first()
            if self._consequences.end_workflows(self._in_hand.runs):
                self._is_drained = False  # what has waited for a workflow is ready by now
            self._release_strays()
        except DatabaseError as error:
            tidy_connections()
            if not self._goes_on_after(error):
                self._wait_out(min(self._outage.note_error(error), self.shutdown.seconds_left))
        else:
            self._wait(0 if self._is_done() else self._seconds_to_wait())

    # Stop what is to be stopped, and give back what cannot begin.

    def _stop_and_release(self) -> None:
        stage = self.shutdown.stage
        if stage > Stage.WORKING:
            self._note_stop()
        if not self._stopper.seconds or stage > Stage.WORKING:
            self._stopper.look(self._in_hand.unsettled, is_asking=stage is Stage.ASKING)
            # What cannot begin soon, or everything if we stop.
            self._release_what_waits(MAX_WAIT_AHEAD if self._may_begin else 0.0)

    def _note_stop(self) -> None:
        """Log once that the worker stops, and what it waits for."""
        if not self._has_noted_stop:
            self._has_noted_stop = True
            self._probes.note_end()
            runs = len(self._in_hand.unsettled)
            logger.info("Worker %s is stopping; runs that it has begun: %d.", self.label, runs)

    @property
    def _may_begin(self) -> bool:
        """True while attempts may begin here."""
        return self.shutdown.stage is Stage.WORKING and self._registration.is_registered

    def _release_what_waits(self, longest: float) -> None:
        """Release what was claimed ahead and has not begun for ``longest`` seconds."""
        for attempt in [*self._pools.withdraw(longest), *self._starts.withdraw(longest)]:
            self._ledger.settle(attempt, self._intake.held_up(attempt.run) or Released())

    # Claim and submit.

    def _register_again(self) -> None:
        """Register again after being given up, once all that was claimed before has ended."""
        if self._registration.is_registered:
            return
        if not self._in_hand.unsettled:
            self._registration.renew()
            self._threads.heartbeat.restart_silence()

    def _claim_and_submit(self) -> None:
        """Claim what can start soon, and submit it. Slots that are left then are for others."""
        if room := self._intake.room_due(self._room()):
            runs = self._claim(room)
            self._submit(runs)
            self._consequences.freed_slots.note_claimed(runs)
        self._consequences.freed_slots.tell_others()

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

    def _claim(self, room: dict[str, int]) -> list[TaskRun]:
        if self.options.batch and len(self._in_hand) == 0 and not self._may_rescue_some():
            return self._claim_the_last()
        return self._intake.claim(self.id, room, self._limit, self._pools.empty)

    def _may_rescue_some(self) -> bool:
        return has_some_to_rescue(self._store, self.backend.alias, self.options.queues.takes)

    def _claim_the_last(self) -> list[TaskRun]:
        unblock_all(self._store)
        empty = self._pools.empty
        runs = self._intake.claim_the_last(self.id, self._room(), self._limit, empty)
        self._is_drained = not runs and not self._intake.may_have_missed_some
        return runs

    @property
    def _limit(self) -> int | None:
        return None if self.options.max_tasks is None else int(self._left)

    def _submit(self, runs: list[TaskRun]) -> None:
        attempts = [Attempt(run, self.label, finisher=self._store) for run in runs]
        self._in_hand.take(attempts)
        at_once, later = list[Attempt](), list[Attempt]()
        for attempt in attempts:
            if self._prepared(attempt):
                (later if attempt.start_comes_first else at_once).append(attempt)
        self._in_hand.submitted(at_once)
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

    def _heed_pauses(self) -> None:
        """Release what was claimed ahead once there is a pause: it may be of that."""
        look = self._intake.is_outdated and self._in_hand.has_waiting
        if self._intake.has_new_pause(look=look):
            self._release_what_waits(0.0)
        self._consequences.parked.note_resumed(self._intake.take_resumed())

    def _heed_held_keys(self) -> None:
        """Release what was claimed ahead once a task has held a key of that."""
        held = self._ledger.held_keys.held
        if held and self._in_hand.has_waiting_of(held):
            self._release_what_waits(0.0)
        held.clear()

    def _write_starts_first(self) -> None:
        """Submit the attempts that wait for their starts to be written."""
        if self._registration.is_registered:
            self._starts.write()

    def _release_strays(self) -> None:
        """
        Release runs that we have claimed without getting the answer. After an outage that is
        likely; a server may also execute such a claim late, so we look again and again.
        """
        now = time.monotonic()
        if self._outage.is_on or now - self._looked_for_strays_at >= STRAY_INTERVAL:
            self._store.release_strays(self.id, self._in_hand.run_ids)
            self._looked_for_strays_at = now
            self._outage.clear()

    # Wait.

    def _seconds_to_wait(self) -> float:
        return min(
            0.0 if self._consequences.may_have_more else MAX_WAIT,
            self._intake.seconds(self._room()),
            self._ledger.seconds,
            self._stopper.seconds if len(self._in_hand) else math.inf,
            self.shutdown.seconds_left,
        )

    def _wait(self, seconds: float) -> None:
        """Wait until something comes in, or this long; then take in all that has come."""
        messages = self._inbox.wait(seconds)
        if messages or seconds > 0:
            self._pools.widen()
        if messages:
            self._take_in(messages)

    def _take_in(self, messages: Iterable[Message]) -> None:
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
                self._observer.draining(len(self._in_hand))

    def _wait_out(self, seconds: float) -> None:
        """Wait this long for the database, or until somebody asks the worker to stop."""
        stage, over = self.shutdown.stage, time.monotonic() + seconds
        self._wait(0)  # what has ended is not to be stopped
        while self.shutdown.stage is stage and (left := over - time.monotonic()) > 0:
            self._probes.turn()
            self._stop_and_release()
            self._wait(min(left, MAX_WAIT, self._stopper.seconds))
        leave_connections()  # they may have died, unnoticed

    def _goes_on_after(self, error: DatabaseError) -> bool:
        """Return whether it was about rows that others have locked, which hold up nothing else."""
        try:
            return self._ledger.goes_on_after(error)
        except DatabaseError:
            return False

    # End.

    def _leave(self) -> None:
        """Write what has ended, give back what has not, and sign off."""
        self._wait(0)
        self._try(self._ledger.record)
        self._try(self._ledger.give_back)
        self._try(self._consequences.freed_slots.tell_others)
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
