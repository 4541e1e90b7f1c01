"""Which runs with a limit a worker may claim, and for which executors it is their turn."""

import random
from collections.abc import Callable, Collection, Iterable, Mapping
from uuid import UUID

from taskworks import real_time as time
from taskworks.database.outage import GrowingPause
from taskworks.execution import Attempt
from taskworks.models import TaskRun
from taskworks.options.policy import LANES
from taskworks.recording.events import Subscriber
from taskworks.store import Store
from taskworks.store.limiting import Line
from taskworks.worker.claiming.openings import Openings
from taskworks.worker.claiming.poll_schedule import LOOK_AGAIN_AFTER

NEWS_LAST = 2 * LOOK_AGAIN_AFTER  # seconds after news for which each look is a survey
SURVEY_INTERVAL = 0.15  # seconds between two looks at which limits have ready runs, without news
# Seconds until another claim from a limit from which another session claims.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.1


class LimitedRuns:
    """
    Claims ready runs that have a limit, limit by limit. They are never claimed ahead, because a
    claimed run takes a slot of its limit: while this worker takes them for an executor, nothing is
    claimed ahead for that.
    """

    def __init__(self, store: Store, backend: str) -> None:
        self._store, self._backend = store, backend
        self._lines: list[Line] = []
        self._next_survey = self._news_until = 0.0
        self._is_their_turn = True
        # Executors for which the last claim found as many as it asked for, or has not yet asked.
        self.wanted: frozenset[str] = frozenset()
        self.may_have_more = False  # whether the last claim may have missed some
        self._pause = GrowingPause(SHORTEST_PAUSE, LONGEST_PAUSE)
        self.seconds = 0.0  # until the next claim, if it has
        self._openings = Openings()
        self._without_slots: set[str] = set()  # limits

    def survey(self, takes: Callable[[str], bool], *, has_limited: bool) -> None:
        """Find out which limits have ready runs in queues that the worker ``takes``."""
        now = time.monotonic()
        if not has_limited:
            self._lines, self.wanted, self._next_survey = [], frozenset(), 0.0
            self._openings.clear()
            self.may_have_more, self.seconds = False, 0.0
        elif now >= self._next_survey or now < self._news_until:
            self._lines = [*self._read_lines(takes)]
            self._next_survey = time.monotonic() + SURVEY_INTERVAL
            self.note_free_slot()

    def note_news(self) -> None:
        """
        Note that there may be new runs, of any limit, and that more may come in a moment: of many
        notifications that are alike, only the first is sent.
        """
        self._next_survey = 0.0
        self._news_until = time.monotonic() + NEWS_LAST

    def note_free_slot(self) -> None:
        """Note that any of the runs that are known of may be claimed now."""
        self.wanted = frozenset(line.executor for line in self._lines)

    def has_slots(self, limit: str) -> bool:
        """Return whether a run of a limit that has ended may make room for another one."""
        return limit not in self._without_slots

    @property
    def opens_in(self) -> float:
        """Seconds until a rate or a hold allows more; infinite if nobody waits for one."""
        return self._openings.seconds

    @property
    def opens_soon(self) -> bool:
        """True if that is worth waiting for."""
        return self._openings.are_soon

    def take_openings(self) -> bool:
        """Return whether there may be more since the last call."""
        return self._openings.take()

    def take_turn(self) -> bool:
        """Return whether they are claimed before the others this time."""
        self._is_their_turn = not self._is_their_turn
        return self._is_their_turn

    def claim(
        self, worker: UUID, room: Mapping[str, int], most: int, paused: Collection[str]
    ) -> list[TaskRun]:
        """Claim as many as there is ``room`` for, at most ``most``, from queues not paused."""
        self.may_have_more, is_held_up = False, False
        left, runs = dict(room), list[TaskRun]()
        for line in self._lines:
            number = min(left.get(line.executor, 0), most - len(runs))
            queues = tuple(name for name in line.queues if name not in paused)
            if number > 0 and queues:
                began = time.monotonic()
                claimed = self._store.claim_limited(worker, line._replace(queues=queues), number)
                self._openings.note(line, claimed, time.monotonic() - began)
                self._note_whether_it_has_slots(line.limit, claimed.counts_slots)
                self.may_have_more |= claimed.may_have_more
                is_held_up |= claimed.may_have_more and not claimed.runs
                left[line.executor] -= len(claimed.runs)
                runs += claimed.runs
        self._lines = self._lines[1:] + self._lines[:1]  # another limit is first next time
        self._note_whether_held_up(is_held_up and not runs)
        if not self.may_have_more:
            self.wanted -= {executor for executor, free in left.items() if free > 0}
        return runs

    def _note_whether_it_has_slots(self, limit: str, counts_slots: bool | None) -> None:
        if counts_slots:
            self._without_slots.discard(limit)
        elif counts_slots is not None:
            self._without_slots.add(limit)

    def _note_whether_held_up(self, is_held_up: bool) -> None:
        if is_held_up:
            self.seconds = self._pause.take()
        else:
            self._pause.reset()
            self.seconds = 0.0

    def _read_lines(self, takes: Callable[[str], bool]) -> Iterable[Line]:
        queues: dict[tuple[str, str], list[str]] = {}
        for limit, queue, executor in self._store.limited_queues(self._backend):
            if takes(queue) and executor in LANES:  # somebody may have written another one
                queues.setdefault((limit, executor), []).append(queue)
        for (limit, executor), names in queues.items():
            some = random.sample(names, min(len(names), self._store.max_queues))
            yield Line(limit, self._backend, tuple(some), executor)


class FreedSlots(Subscriber):
    """
    Notes that this worker has given back a slot of a limit, and tells the others. ``has_slots``
    says whether a limit has any.
    """

    def __init__(self, store: Store, has_slots: Callable[[str], bool] = lambda limit: True) -> None:
        self._store, self._has_slots = store, has_slots
        self._has_freed = False

    def recorded(self, attempts: Iterable[Attempt]) -> None:
        limits = {attempt.run.limit_name for attempt in attempts}
        if any(limit is not None and self._has_slots(limit) for limit in limits):
            self._has_freed = True
            self._store.notify_workers()

    def take(self) -> bool:
        """Return whether a slot became free since the last call."""
        has_freed, self._has_freed = self._has_freed, False
        return has_freed
