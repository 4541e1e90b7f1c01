"""The threads beside a worker's own: its heartbeat, what wakes it, and its duties."""

from collections.abc import Callable
from threading import Event
from typing import Any
from uuid import UUID

from taskworks.database.background import BackgroundThread
from taskworks.duties.bookkeeping import Bookkeeping
from taskworks.duties.heartbeat import Heartbeat
from taskworks.duties.housekeeping import Housekeeping
from taskworks.duties.rescue import Tell
from taskworks.duties.sampling import Sampling
from taskworks.duties.scheduler import Scheduler
from taskworks.framework import BaseTaskBackend
from taskworks.logs import steady_logger
from taskworks.models.worker import Request
from taskworks.options.retention import retention_of
from taskworks.recording.subscribers import Watchers
from taskworks.statistics.flushing import Flushing
from taskworks.store import Store
from taskworks.worker.claiming import NoWakeUps, WakeUpSource
from taskworks.worker.facts import passing_facts
from taskworks.worker.options import Options
from taskworks.worker.pools import PoolSet
from taskworks.worker.probes import Probes
from taskworks.worker.registration import Registration
from taskworks.worker.shutdown import Shutdown

logger = steady_logger(__name__)


class BackgroundThreads:
    """
    Makes these threads, starts and ends them. A batch has only the heartbeat, and polls.

    What they notice is noted where the worker's own thread looks for it: in its registration, in
    its shutdown, or in ``has_made_ready``. Then ``wake`` is called.
    """

    def __init__(
        self,
        store: Store,
        backend: BaseTaskBackend,
        options: Options,
        *,
        registration: Registration,
        shutdown: Shutdown,
        pools: PoolSet,
        probes: Probes,
        flushing: Flushing,
        watchers: Watchers,
        rescued: Tell,
        wake: Callable[[], None],
        make_wake_ups: Callable[..., WakeUpSource],
    ) -> None:
        self._store, self._backend, self._options = store, backend, options
        self._registration, self._shutdown, self._pools = registration, shutdown, pools
        self._probes, self._flushing, self._watchers = probes, flushing, watchers
        self._wake = wake
        self.has_made_ready = Event()  # set once the heartbeat has rescued or unblocked runs
        self.wake_ups: WakeUpSource = NoWakeUps()
        self.heartbeat = self._new_heartbeat(rescued)
        self.all: list[WakeUpSource | BackgroundThread] = [self.heartbeat]
        if not options.batch:
            self._add_others(make_wake_ups)

    def _new_heartbeat(self, rescued: Tell) -> Heartbeat:
        heartbeat = Heartbeat(
            self._store,
            lambda: self._registration.living_id,
            self._note_given_up,
            facts=self._passing_facts,
            unblocks=not self._options.batch,
        )
        heartbeat.asked = self._heed_request
        heartbeat.beaten = self._note_beat
        heartbeat.rescued = rescued
        heartbeat.made_ready = self._note_made_ready
        return heartbeat

    def _add_others(self, make_wake_ups: Callable[..., WakeUpSource]) -> None:
        scheduler = Scheduler(
            self._store, is_notified=lambda: self._store.can_notify and self.wake_ups.works
        )
        self.wake_ups = make_wake_ups(
            self._store,
            self._backend.alias,
            self._options.queues,
            self._wake,
            watch=self._watchers.watch,
            wake_scheduler=scheduler.wake,
        )
        housekeeping = Housekeeping(self._store, retention_of(self._backend))
        bookkeeping, sampling = Bookkeeping(self._store), Sampling(self._store)
        self.heartbeat.schedules_enabled = scheduler.begin
        self.heartbeat.bookkeeping_due = bookkeeping.wake
        self.heartbeat.gauges_due = sampling.wake
        self.all += [self.wake_ups, housekeeping, scheduler, bookkeeping, sampling]
        scheduler.wake()

    def start(self) -> None:
        """Start them all."""
        for thread in self.all:
            thread.start()

    def stop(self) -> None:
        """End them all, the heartbeat last."""
        for thread in reversed(self.all):
            thread.stop()

    # Called in the heartbeat's thread.

    def _passing_facts(self) -> dict[str, Any]:
        return passing_facts(self._options.queues, self._options.sizes, self._pools.empty)

    def _note_beat(self) -> None:
        self._flushing.flush_if_due()
        self._probes.beat()

    def _note_given_up(self, worker: UUID) -> None:
        self._registration.lose(worker)
        self._wake()

    def _note_made_ready(self) -> None:
        self.has_made_ready.set()
        self._wake()

    def _heed_request(self, to: str) -> None:
        # With each heartbeat from now on.
        if to in Request.values and self._shutdown.request(drain=to == Request.DRAIN):
            logger.info("Worker %s was asked to %s.", self._registration.label, to)
            self._wake()
