"""Where a worker looks for ready runs, and how it claims them."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from taskworks import real_time as time
from taskworks.duties.promote import CHUNK, promote
from taskworks.execution import Outcome, Parked, Released
from taskworks.models import TaskRun
from taskworks.store import Store
from taskworks.store.claiming import NO_PLACES, Outlook, Places
from taskworks.store.paused import NOTHING, Paused
from taskworks.worker.claiming import WakeUpSource
from taskworks.worker.claiming.alternation import Alternation
from taskworks.worker.claiming.cursor import ClaimCursor, missing_from
from taskworks.worker.claiming.limited import LimitedRuns
from taskworks.worker.claiming.poll_schedule import PollSchedule
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.claiming.turn import Turn

# Seconds between two looks at which queues have runs, and what is paused, while claims find runs.
# With a turn of the loop and a claim, a pause is heeded within 0.2 seconds.
SURVEY_INTERVAL = 0.15
PROMOTE_AGAIN_AFTER = 0.5  # seconds until due runs that another session has locked are tried again


class Intake:
    """Claims ready runs. Any thread may use it, but only one at a time."""

    def __init__(
        self,
        store: Store,
        backend: str,
        queues: Queues,
        interval: float,
        wake_ups: WakeUpSource,
    ) -> None:
        """``interval`` are the seconds between two looks at queues that stay empty."""
        self._store, self._backend, self._queues, self._wake_ups = store, backend, queues, wake_ups
        self._poll_schedule = PollSchedule(
            interval,
            is_notified=lambda: wake_ups.works,
            misses_nothing=lambda: wake_ups.misses_nothing,
        )
        self._cursor, self._turn = ClaimCursor(), Turn[str]()
        self._limited, self._alternation = LimitedRuns(store, backend), Alternation()
        self._ready_queues: list[str] = []
        self._paused: Paused = NOTHING
        self._resumed: set[UUID] = set()  # pauses of tasks
        self._known_at = self._next_survey = 0.0
        self._must_survey = True  # before any claim: there is news that names no queue
        self._has_new_pause = self._has_new_limited = False
        self._has_free_slot = self._has_skipped_survey = False

    def room_due(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return the part of the room to claim for now."""
        self._take_in_wake_ups()
        return self._poll_schedule.room_due(room)

    def claim(
        self,
        worker: UUID,
        room: Mapping[str, int],
        limit: int | None,
        empty: Mapping[str, int] | None = None,
    ) -> list[TaskRun]:
        """
        Claim as many runs as there is room for, and plan when to look again. By default, there are
        as many ``empty`` slots. What is beyond these is claimed ahead.
        """
        empty, most = room if empty is None else empty, _most(room, limit)
        runs = self._claim_for_free_slot(worker, room, empty, most)
        if not runs:
            runs = self._claim(worker, room, empty, most, self._cursor)
        asked = _not_ahead(self._limited.held_back, room, empty)
        self._plan_next_look(asked, runs, self._limited.opens_in)
        if self._turn.may_have_more(missing_from(asked, most, runs)):
            self._poll_schedule.look_again_in(0)
        if self._ready_queues and self._turn.is_whole and self._cursor.may_have_skipped:
            self._poll_schedule.look_again_in(self._cursor.seconds)
        return runs

    def claim_the_last(
        self,
        worker: UUID,
        room: Mapping[str, int],
        limit: int | None,
        empty: Mapping[str, int],
    ) -> list[TaskRun]:
        """Claim from every queue there is, without overlooking a run."""
        self._next_survey = 0.0
        self._turn.start_over()
        self._limited.start_over()
        most = _most(room, limit)
        runs = self._claim(worker, room, empty, most, None)
        while not runs and (self._turn.may_have_more(room) or self._limited.must_survey):
            runs = self._claim(worker, room, empty, most, None)
        opens_soon = self._limited.opens_soon
        self._plan_next_look(room, runs, self._limited.opens_in if opens_soon else math.inf)
        return runs

    def _plan_next_look(
        self, asked: Mapping[str, int], runs: Collection[TaskRun], opens_in: float
    ) -> None:
        """
        Plan it after a claim that asked for this room and found these runs; in ``opens_in`` seconds
        a limit may allow more.
        """
        self._poll_schedule.plan(asked, runs)
        if self._may_have_more_limited:
            self._poll_schedule.look_again_in(self._limited.seconds)
        if opens_in < math.inf:
            self._poll_schedule.look_again_in(opens_in)

    @property
    def not_ahead(self) -> frozenset[str]:
        """The executors for which no run is to be claimed now before there is a slot for it."""
        held_back = self._limited.held_back
        return held_back and held_back & self._limited_first

    @property
    def _limited_first(self) -> frozenset[str]:
        """The executors for which it is the turn of runs with a limit."""
        if not self._ready_queues:
            return self._limited.wanted
        return self._alternation.limited_first(self._limited.wanted)

    @property
    def may_have_missed_some(self) -> bool:
        """True if the last claim may have left limited runs that can be taken now, or soon."""
        return self._may_have_more_limited or self._limited.opens_soon

    @property
    def _may_have_more_limited(self) -> bool:
        return self._limited.may_have_more or self._has_new_limited

    def has_slots(self, limit: str) -> bool:
        """Return whether a run of a limit that has ended may make room for another one."""
        return self._limited.has_slots(limit)

    def is_shared(self, limit: str) -> bool:
        """Return whether runs of a limit may wait for others, or for another executor."""
        return self._limited.is_shared(limit)

    def take_openings(self) -> bool:
        """Look at once for runs that a rate or a hold has come to allow; return whether it has."""
        has_opened = self._limited.take_openings()
        if has_opened:
            self._poll_schedule.look_again_in(0)
        return has_opened

    def look_for_limited(self) -> None:
        """Look at once for runs with a limit: it may have a free slot."""
        self._limited.note_free_slot()
        if not self._limited.wanted:
            return
        self._has_free_slot = True
        if self._limited.has_shared:  # others have been told, and are to have a chance
            self._poll_schedule.look_again_in(0)
        else:
            self._poll_schedule.look_now()

    def wake(self) -> None:
        """Look at every queue at once: there are new runs."""
        self._poll_schedule.wake()
        self._next_survey = 0.0
        self._note_news()

    def hurry(self) -> None:
        """Poll often again: a run has ended, and where there is work, more may come soon."""
        self._poll_schedule.hurry()

    def seconds(self, room: Mapping[str, int]) -> float:
        """Return the seconds until the next look, infinite without room."""
        return self._poll_schedule.seconds(room)

    # What is paused.

    def held_up(self, run: TaskRun) -> Outcome | None:
        """Return the outcome of a claimed run that is known to be paused; None if it is not."""
        if not self._paused:
            return None
        if self._paused.holds(run):
            return Released()
        pause = self._paused.pause_of_task(run)
        return Parked(pause) if pause else None

    @property
    def is_outdated(self) -> bool:
        """True if what is known of pauses is too old for what is about to begin."""
        return time.monotonic() - self._known_at >= SURVEY_INTERVAL

    def has_new_pause(self, *, look: bool) -> bool:
        """Return whether there is a pause since the last call; look for that if wanted."""
        if look:
            self._survey_again()
        has_new_pause, self._has_new_pause = self._has_new_pause, False
        return has_new_pause

    def take_resumed(self) -> set[UUID]:
        """Return the pauses of tasks that were seen to have ended since the last call."""
        resumed, self._resumed = self._resumed, set()
        return resumed

    def _take_in_wake_ups(self) -> None:
        # A pause that ends is news that names no queue, or a moment at which to look.
        notified = {name for name in self._wake_ups.take() if not self._has_paused_queue(name)}
        if not notified:
            return
        self._poll_schedule.wake()
        self._cursor.ask_for_restart()
        named = [name for name in notified if name is not None]
        if len(named) < len(notified):
            self._must_survey = True
            self._limited.note_news()
        if self._ready_queues or self._must_survey:
            self._next_survey = 0.0  # what waits in other queues may come first
            self._turn.note_news()
        else:
            # Who pauses a queue notifies of any queue, so we would know if these were paused.
            self._ready_queues = named
            self._known_at = time.monotonic()
            self._next_survey = self._known_at + SURVEY_INTERVAL

    def _claim_for_free_slot(
        self, worker: UUID, room: Mapping[str, int], empty: Mapping[str, int], most: int
    ) -> list[TaskRun]:
        """
        If a slot of a limit has become free, claim for it of what is known to wait. A survey comes
        after that, at the latest with the next claim.
        """
        has_free_slot, self._has_free_slot = self._has_free_slot, False
        if not has_free_slot or self._has_skipped_survey or not self._knows_only_limited:
            return []
        runs = self._claim_limited(worker, room, empty, most)
        if runs:
            self._has_skipped_survey = True
            self._poll_schedule.look_again_in(0)
            self._heed_new_pauses()
        return runs

    @property
    def _knows_only_limited(self) -> bool:
        """True if all that was ready a moment ago has a limit, and is for one executor here."""
        is_new = not self._must_survey and not self.is_outdated
        are_all = not self._ready_queues and self._turn.is_whole
        return is_new and are_all and not self._limited.has_shared

    def _claim(
        self,
        worker: UUID,
        room: Mapping[str, int],
        empty: Mapping[str, int],
        most: int,
        cursor: ClaimCursor | None,
    ) -> list[TaskRun]:
        self._has_skipped_survey = False
        first = self._limited_first  # as it was when the room was measured
        self._survey()
        if first:
            runs = self._claim_limited(worker, _only(first, room), empty, most)
            # Not ahead: they would take the slots that become free in the turn of the first.
            room_left = _left(_not_ahead(first, room, empty), runs)
            runs += self._claim_unlimited(worker, room_left, most - len(runs), cursor)
        else:
            runs = self._claim_unlimited(worker, room, most, cursor)
            if self._limited.wanted:
                room_left, empty_left = _left(room, runs), _left(empty, runs)
                runs += self._claim_limited(worker, room_left, empty_left, most - len(runs))
        others = [run for run in runs if run.limit_name is None]
        self._alternation.note_others(room.keys() - first, others)
        # Those whose turn comes now take what there is room for without delay.
        self._has_new_limited = not self._limited_first <= first
        if runs:
            self._heed_new_pauses()
        return runs

    def _heed_new_pauses(self) -> None:
        """Find out what was paused while a claim was held up."""
        if self.is_outdated:
            self._survey_again()

    def _claim_limited(
        self, worker: UUID, room: Mapping[str, int], empty: Mapping[str, int], most: int
    ) -> list[TaskRun]:
        waits = {executor for executor in self._limited.held_back if not empty.get(executor)}
        wanted = _only(self._limited.wanted - waits, room)
        if not wanted or most <= 0:
            return []
        runs = self._limited.claim(worker, wanted, empty, most, self._paused)
        self._alternation.note_limited(wanted, runs)
        if self._limited.must_survey:
            self._next_survey = 0.0
        return runs

    def _claim_unlimited(
        self, worker: UUID, room: Mapping[str, int], most: int, cursor: ClaimCursor | None
    ) -> list[TaskRun]:
        if not room or most <= 0:
            return []
        runs = self._claim_ready(worker, room, most, cursor) if self._ready_queues else []
        self._turn.note_claim(room, missing_from(room, most, runs))
        if len(runs) < sum(room.values()):
            self._next_survey = 0.0
        return runs

    def _survey(self) -> None:
        """
        Find out which queues have ready runs and are not paused, after promoting those that are
        due. Not with every claim, while claims find as many runs as there is room for. If there are
        more queues than one claim can take, each look goes on where the last one ended.
        """
        if time.monotonic() >= self._next_survey:
            outlook = self._outlook(self._turn.goes_on_after)
            self._turn.go_on(None if self._own_queues else outlook.goes_on_after)
            self._take_over(outlook)

    def _survey_again(self) -> None:
        """
        Find out which queues are paused now. The others are looked at again only if these are all:
        one that is new in this part would be passed by if the next look came before a claim.
        """
        outlook = self._outlook(self._turn.began_after)
        if self._turn.is_whole and outlook.goes_on_after is None:
            self._take_over(outlook)
        else:
            self._ready_queues = self._unpaused(self._ready_queues)

    def _outlook(self, after: str | None) -> Outlook:
        now = time.monotonic()
        outlook = self._promoted_outlook(after)
        self._poll_schedule.expect_due_in(min(outlook.due_in, outlook.resumes_in))
        self._take_in_pauses(outlook.paused)
        self._must_survey = False
        self._limited.survey(
            self._queues.takes, has_limited=outlook.has_limited, paused=outlook.paused
        )
        self._known_at = now
        return outlook

    def _take_in_pauses(self, paused: Paused) -> None:
        if paused == self._paused:
            return
        before, self._paused = self._paused, paused
        self._has_new_pause |= not paused.items() <= before.items()
        self._resumed |= before.of_tasks - paused.of_tasks
        if not before.items() <= paused.items():
            self._note_news()

    def _promoted_outlook(self, after: str | None) -> Outlook:
        outlook = self._store.outlook(self._backend, after, self._store.max_queues)
        if outlook.due_in > 0:
            return outlook
        promoted = promote(self._store)
        if promoted:
            self._note_news()
        outlook = self._store.outlook(self._backend, after, self._store.max_queues)
        if outlook.due_in <= 0 and promoted < CHUNK:
            return outlook._replace(due_in=PROMOTE_AGAIN_AFTER)
        return outlook

    def _note_news(self) -> None:
        """Note that there may be new runs in any queue."""
        self._turn.note_news()
        self._limited.note_news()

    def _take_over(self, outlook: Outlook) -> None:
        # Not one look after another until its own queues come.
        is_short_of_some = outlook.goes_on_after is not None and self._own_queues
        ready = self._own_queues if is_short_of_some else outlook.queues
        self._ready_queues = [name for name in self._unpaused(ready) if self._queues.takes(name)]
        self._next_survey = self._known_at + SURVEY_INTERVAL

    @property
    def _own_queues(self) -> list[str]:
        """The queues that this worker names, if one claim can take them all."""
        names = [*dict.fromkeys(self._queues.names or ())]
        return names if len(names) <= self._store.max_queues else []

    def _unpaused(self, queues: Iterable[str]) -> list[str]:
        return [name for name in queues if not self._has_paused_queue(name)]

    def _has_paused_queue(self, name: str | None) -> bool:
        return name is not None and self._paused.has_queue(self._backend, name)

    def _claim_ready(
        self, worker: UUID, room: Mapping[str, int], most: int, cursor: ClaimCursor | None
    ) -> list[TaskRun]:
        def claim(room: Mapping[str, int], limit: int, places: Places) -> list[TaskRun]:
            return self._store.claim(
                worker, self._backend, self._ready_queues, room, limit, places=places
            )

        if cursor and self._store.uses_cursors and self._turn.is_whole:
            return cursor.claim(claim, room, most)
        return claim(room, most, NO_PLACES)


def _not_ahead(
    executors: Collection[str], room: Mapping[str, int], empty: Mapping[str, int]
) -> Mapping[str, int]:
    """Return the room without what is beyond the empty slots of these executors."""
    if not executors:
        return room
    return {
        executor: min(free, empty.get(executor, 0)) if executor in executors else free
        for executor, free in room.items()
    }


def _only(executors: Collection[str], room: Mapping[str, int]) -> dict[str, int]:
    return {executor: free for executor, free in room.items() if executor in executors}


def _left(room: Mapping[str, int], runs: list[TaskRun]) -> dict[str, int]:
    """Return the room that is left of this with these runs."""
    taken = Counter([run.executor for run in runs])
    left = {executor: free - taken[executor] for executor, free in room.items()}
    return {executor: free for executor, free in left.items() if free > 0}


def _most(room: Mapping[str, int], limit: int | None) -> int:
    most = sum(room.values())
    return most if limit is None else min(limit, most)
