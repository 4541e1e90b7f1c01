"""
Unblock: make runs ready that have waited for others, once these have succeeded, or for the end of a
pause.

A worker does so as soon as it has written the outcome of a run that others may wait for. If it
cannot, or dies first, the sweep that comes with every few heartbeats does it.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from taskworks import real_time as time
from taskworks.correlation import extras_of
from taskworks.duties.sender import sender_of
from taskworks.duties.workflows import MAX_LOOK, look_after_all
from taskworks.execution import cancellation
from taskworks.logs import steady_logger
from taskworks.models.run import FINISHED
from taskworks.recording.events import Attempts, Subscriber
from taskworks.reserved_metadata import made_by, step_of
from taskworks.signals import announce_cancelled
from taskworks.store import Store
from taskworks.store.blocking import Blocked, Following

CHUNK = 1000  # edges, or runs

logger = steady_logger(__name__)


class Followers(Subscriber):
    """
    Unblocks what follows the runs whose outcomes this worker has written: if very much does, a part
    of it between other work.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended: set[UUID] = set()
        self._looked_at: list[UUID] = []  # whose edges are being looked at
        self._last_edge = 0  # the last of these that was

    @property
    def may_have_more(self) -> bool:
        """True if some are left."""
        return bool(self._ended or self._looked_at)

    def recorded(self, attempts: Attempts) -> None:
        for attempt in attempts:
            run = attempt.run
            if run.state in FINISHED and (
                getattr(attempt.task.func, "is_followed", False)
                or (run.metadata and _has_followers(run.metadata))
            ):
                self._ended.add(run.id)

    def unblock(self) -> bool:
        """
        Unblock what can be within a moment; return whether a run became ready. Free if none is
        followed.
        """
        unblocked, until = False, time.monotonic() + MAX_LOOK
        while self.may_have_more:
            unblocked |= self._unblock_some()
            if time.monotonic() >= until:
                break
        return unblocked

    def _unblock_some(self) -> bool:
        if not self._looked_at:
            self._looked_at = [*self._ended][:CHUNK]
            self._ended.difference_update(self._looked_at)
        edges = self._store.followers(self._looked_at, self._last_edge, CHUNK)
        unblocked = self._store.pass_on(edges)
        self._last_edge = edges[-1].id if len(edges) == CHUNK else 0
        if not self._last_edge:  # and it has not raised: then the next call tries again
            self._looked_at = []
        return unblocked > 0


class ParkedRuns:
    """
    Unblocks the runs that have waited for the pauses of their tasks, once this worker sees that
    these have ended: a chunk at a time, between other work.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_edges: dict[UUID, int] = {}  # the last edge that was looked at, by its pause

    @property
    def may_have_more(self) -> bool:
        """True if some are known to be left."""
        return bool(self._last_edges)

    def note_resumed(self, pauses: Iterable[UUID]) -> None:
        """Note that these pauses have ended."""
        for pause in pauses:
            self._last_edges[pause] = 0

    def unblock(self) -> bool:
        """Unblock the next ones; return whether one became ready. Free if there are none."""
        for pause, last in self._last_edges.items():
            edges = self._store.followers([pause], last, CHUNK)
            unblocked = self._store.pass_on(edges) > 0
            if len(edges) == CHUNK:
                self._last_edges[pause] = edges[-1].id
            else:
                del self._last_edges[pause]
            return unblocked
        return False


def _has_followers(metadata: Any) -> bool:
    """Return whether others may follow a run with this metadata."""
    schedule = made_by(metadata)
    # What is in a group has no name, so nothing is after it alone.
    return step_of(metadata) is not None or (schedule is not None and schedule.is_followed)


def unblock_all(store: Store) -> None:
    """Unblock every run that can be, on this database, and end every workflow that can be."""
    while True:
        sweep = Unblocking(store)
        while sweep.step():
            pass
        if not look_after_all(store):
            return


class Unblocking:
    """
    Goes through the edges, then through the blocked runs, of which some may have lost their last
    edge to a worker that died before it unblocked them; a chunk at a time, again and again. So the
    cost of a step does not grow with how many runs wait.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last_edge = 0
        self._last_run: Blocked | None = None
        self._is_past_edges = False
        self.has_unblocked = False  # whether the latest step has made a run ready

    def step(self, within: float = 5.0) -> bool:
        """
        Look at the next chunk, for ``within`` seconds at most; return whether there may be more
        before the end.
        """
        self.has_unblocked = False
        if not self._is_past_edges:
            self._is_past_edges = not self._look_at_edges(time.monotonic() + within)
            if not self._is_past_edges:
                return True
        self._is_past_edges = self._look_at_runs()
        return self._is_past_edges

    def _look_at_edges(self, until: float) -> bool:
        """Look at the next edges; return whether there may be more."""
        edges = self._store.edges_since(self._last_edge, CHUNK)
        self.has_unblocked = self._store.pass_on(edges) > 0
        for edge in edges:
            if edge.is_hopeless:
                _cancel(self._store, edge)
                if time.monotonic() > until:
                    self._last_edge = edge.id
                    return True
        self._last_edge = edges[-1].id if len(edges) == CHUNK else 0
        return self._last_edge > 0

    def _look_at_runs(self) -> bool:
        """Look at the next blocked runs; return whether there may be more."""
        runs = self._store.blocked_since(self._last_run, CHUNK)
        if free := [run.id for run in runs if not run.has_edge]:
            self.has_unblocked |= self._store.unblock(free) > 0
        self._last_run = runs[-1] if len(runs) == CHUNK else None
        return self._last_run is not None


def _cancel(store: Store, edge: Following) -> None:
    reason = f"The run {edge.after}, which it was to follow, is gone, and had not succeeded."
    if run := store.cancel_blocked(edge.run, cancellation(reason).entry):
        what = "Run %s of %s is cancelled: %s"
        logger.warning(what, run.id, run.called_path, reason, extra=extras_of(run))
        if sender := sender_of(run):
            announce_cancelled(sender, run.to_result())
    store.delete_edges([edge])
