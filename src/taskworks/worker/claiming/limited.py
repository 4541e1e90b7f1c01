"""Which runs with a limit a worker may claim, and when."""

from collections.abc import Callable, Collection, Mapping
from uuid import UUID

from taskworks import real_time as time
from taskworks.database.outage import GrowingPause
from taskworks.models import TaskRun
from taskworks.options.policy import LANES
from taskworks.store import Store
from taskworks.store.limiting import LimitedClaim, Line
from taskworks.store.paused import Paused
from taskworks.worker.claiming.demand import Demand
from taskworks.worker.claiming.limit_parts import LimitParts
from taskworks.worker.claiming.openings import Openings
from taskworks.worker.claiming.poll_schedule import LOOK_AGAIN_AFTER
from taskworks.worker.claiming.slots import Slots

NEWS_LAST = 2 * LOOK_AGAIN_AFTER  # seconds after news for which each look is a survey
SURVEY_INTERVAL = 0.15  # seconds between two looks at which limits have ready runs, without news
REST_FACTOR = 4  # times as long as the looks at all limits took, until the next ones, without news
# Seconds until another claim from a limit from which another session claims.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.1


class LimitedRuns:
    """
    Claims ready runs that have a limit, limit by limit, and of many limits part by part. A claimed
    run takes a slot of its limit, so a limit may hold back what would be claimed ahead.
    """

    def __init__(self, store: Store, backend: str) -> None:
        self._store = store
        self._parts = LimitParts(store, backend)
        self._lines: list[Line] = []  # of the current part
        # Lines of any part: those that have opened, and from which another session was claiming.
        self._again: list[Line] = []
        self._done = set[str]()  # executors for which all others were found to have no more
        self._spent = 0.0  # seconds in claims since then
        self._next_survey = self._news_until = 0.0
        # Executors for which the last claim found as many as it asked for, or has not yet asked.
        self.wanted: frozenset[str] = frozenset()
        # Those of them for which limits hold back all that is not for a free slot.
        self.held_back: frozenset[str] = frozenset()
        self.may_have_more = False  # whether the last claim may have missed some
        self._pause = GrowingPause(SHORTEST_PAUSE, LONGEST_PAUSE)
        self.seconds = 0.0  # until the next claim, if it has
        self._openings = Openings()
        self._slots = Slots()

    def survey(self, takes: Callable[[str], bool], *, has_limited: bool, paused: Paused) -> None:
        """
        Find out which limits have ready runs in queues that the worker ``takes``, and are not
        ``paused``.
        """
        now = time.monotonic()
        if not has_limited:
            self._lines, self._again = [], []
            self.wanted = self.held_back = frozenset()
            self._openings.clear()
            self.may_have_more, self.seconds = False, 0.0
            self.start_over()
        elif now >= self._next_survey or now < self._news_until:
            lines = self._parts.read(takes)
            self._lines = [line for line in lines if not paused.has_limit(line.limit)]
            self._next_survey = time.monotonic() + SURVEY_INTERVAL
            self._want_all()

    def note_news(self) -> None:
        """
        Note that there may be new runs, of any limit, and that more may come in a moment: of many
        notifications that are alike, only the first is sent.
        """
        self._next_survey = 0.0
        self._news_until = time.monotonic() + NEWS_LAST
        self._parts.note_news()

    def start_over(self) -> None:
        """Go on with the first limit: each of them may have runs that can be claimed now."""
        self._next_survey = 0.0
        self._parts.start_over()

    def note_free_slot(self) -> None:
        """Note that any of the runs that are known of may be claimed now."""
        self._parts.note_news()
        self._want_all()

    def _want_all(self) -> None:
        self._done.clear()
        of_lines = (line.executor for line in self._lines)
        self.wanted = frozenset(of_lines if self._parts.are_one else LANES)
        self.held_back &= self.wanted

    @property
    def must_survey(self) -> bool:
        """True if only another part may have runs that can be claimed now."""
        return self._next_survey == 0.0 and self.may_have_more

    def has_slots(self, limit: str) -> bool:
        """Return whether a run of a limit that has ended may make room for another one."""
        return self._slots.has(limit)

    def is_shared(self, limit: str) -> bool:
        """Return whether runs of a limit may wait for others, or for another executor."""
        return limit not in self._parts.of_one_executor

    @property
    def has_shared(self) -> bool:
        """True if that is so for one of the limits from which a claim would be tried."""
        return any(self.is_shared(line.limit) for line in self._lines_to_try)

    @property
    def opens_in(self) -> float:
        """Seconds until a rate or a hold allows more; infinite if nobody waits for one."""
        return self._openings.seconds

    @property
    def opens_soon(self) -> bool:
        """True if that is worth waiting for."""
        return self._openings.are_soon

    def take_openings(self) -> bool:
        """Return whether some have come since the last call. They are claimed from next."""
        opened = self._openings.take()
        self._again += [line for line in opened if line not in self._again]
        self.wanted |= {line.executor for line in opened}
        return bool(opened)

    def claim(
        self,
        worker: UUID,
        room: Mapping[str, int],
        empty: Mapping[str, int],
        most: int,
        paused: Paused,
    ) -> list[TaskRun]:
        """
        Claim as many as there is ``room`` for, at most ``most``, of what is not ``paused``: for the
        slots that are ``empty``, and ahead what limits do not hold back.
        """
        demand, runs = Demand(room, empty, most), list[TaskRun]()
        has_more, held_up, again, held_back = False, list[Line](), list[Line](), set[str]()
        for line in self._lines_to_try:
            now, ahead = demand.of(line.executor)
            unpaused = line.without(paused) if paused else line
            if now + ahead > 0 and unpaused.queues:
                claimed = self._claim_from(unpaused, worker, now, ahead)
                demand.take(line.executor, len(claimed.runs))
                runs += claimed.runs
                if claimed.holds_back:
                    held_back.add(line.executor)
                if claimed.may_have_more and not claimed.runs:
                    held_up.append(line)
                else:
                    has_more |= claimed.may_have_more
            elif line in self._again and unpaused.queues:
                again.append(line)
        self._lines = self._lines[1:] + self._lines[:1]  # another limit is first next time
        self._again = held_up + again
        self.held_back = self.held_back - room.keys() | demand.short & held_back
        short = demand.short - held_back
        self._done -= room.keys() - short  # of what gave all that it was asked there may be more
        self._note_claim(room, set() if has_more else short)
        has_more |= self._parts.may_have_more(short)
        is_held_up = any(line.executor in short for line in held_up)
        self._pause_if(is_held_up and not has_more and not runs)
        if not has_more:
            self._rest_from(short, looked_for=room)
        self.may_have_more = has_more or is_held_up
        if not self.may_have_more:
            self.wanted -= short
        return runs

    @property
    def _lines_to_try(self) -> list[Line]:
        """Those that are to be tried again, and those of the current part that are not done."""
        others = [line for line in self._lines if line.executor not in self._done]
        return [*others, *(line for line in self._again if line not in others)]

    def _claim_from(self, line: Line, worker: UUID, now: int, ahead: int) -> LimitedClaim:
        began = time.monotonic()
        claimed = self._store.claim_limited(worker, line, now, ahead)
        took = time.monotonic() - began
        self._openings.note(line, claimed, took)
        self._slots.note(line.limit, claimed.counts_slots)
        self._spent += took
        return claimed

    def _note_claim(self, asked: Collection[str], empty: Collection[str]) -> None:
        """Note what the current part had no more of; if anything, the next one follows."""
        self._parts.note_claim(asked, empty)
        if self._parts.may_have_more(empty):
            self._next_survey = 0.0

    def _pause_if(self, is_only_held_up: bool) -> None:
        """Pause before the next claim if others are claiming from all that there may be."""
        if is_only_held_up:
            self.seconds = self._pause.take()
            return
        self.seconds = 0.0
        if not self._again:
            self._pause.reset()

    def _rest_from(self, executors: Collection[str], *, looked_for: Collection[str]) -> None:
        """Do not look at all limits again, without news, before a time that the look is worth."""
        self._done.update(executors)
        if self._done.issuperset(looked_for):
            rest = REST_FACTOR * self._spent
            self._next_survey = max(self._next_survey, time.monotonic() + rest)
            self._spent = 0.0
