"""When a worker looks for ready runs, and how it claims them."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from taskworks import real_time as time
from taskworks.database.notifications import NOTIFY_INTERVAL
from taskworks.duties.promote import CHUNK, promote
from taskworks.models import TaskRun
from taskworks.store import Store
from taskworks.store.claiming import NO_PLACES, Outlook, Places
from taskworks.worker.claiming import WakeUpSource
from taskworks.worker.claiming.cursor import ClaimCursor, missing_from
from taskworks.worker.claiming.queues import Queues
from taskworks.worker.claiming.turn import Turn

# Seconds between two looks at which queues have runs, and which are paused, while claims find runs.
# With a turn of the loop and a claim, a pause is heeded within 0.2 seconds.
SURVEY_INTERVAL = 0.15
PROMOTE_AGAIN_AFTER = 0.5  # seconds until due runs that another session has locked are tried again
MIN_POLL_INTERVAL = 0.02  # seconds between two looks at empty queues, just after there was work
MIN_LOOK_INTERVAL = 0.005  # seconds between two looks, however often the worker is woken
POLL_INTERVAL_AFTER_WORK = 0.1  # the longest pause between two looks for ACTIVE_FOR after work
ACTIVE_FOR = 300.0  # seconds
POLL_INTERVAL_IF_NOTIFIED = 5.0  # seconds between two looks of a worker that is woken for new runs
# Seconds after a notification by which another may have been left out, as one too many.
LOOK_AGAIN_AFTER = NOTIFY_INTERVAL * 1.2


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
        self._poll_schedule = PollSchedule(interval, is_notified=lambda: wake_ups.works)
        self._cursor, self._turn = ClaimCursor(), Turn()
        self._ready_queues: list[str] = []
        self._paused_queues: frozenset[str] = frozenset()
        self._known_at = self._next_survey = 0.0
        self._must_survey = True  # before any claim: there is news that names no queue
        self._has_new_pause = False

    def room_due(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return the part of the room to claim for now."""
        self._take_in_wake_ups()
        return self._poll_schedule.room_due(room)

    def claim(self, worker: UUID, room: Mapping[str, int], limit: int | None) -> list[TaskRun]:
        """Claim as many runs as there is room for, and plan when to look again."""
        most = _most(room, limit)
        runs = self._claim(worker, room, most, self._cursor)
        self._poll_schedule.plan(room, runs)
        if self._turn.may_have_more(missing_from(room, most, runs)):
            self._poll_schedule.look_again_in(0)
        if self._ready_queues and self._turn.is_whole and self._cursor.may_have_skipped:
            self._poll_schedule.look_again_in(self._cursor.seconds)
        return runs

    def claim_the_last(
        self, worker: UUID, room: Mapping[str, int], limit: int | None
    ) -> list[TaskRun]:
        """Claim from every queue there is, without overlooking a run."""
        self._next_survey = 0.0
        self._turn.start_over()
        most = _most(room, limit)
        runs = self._claim(worker, room, most, None)
        while not runs and self._turn.may_have_more(room):
            runs = self._claim(worker, room, most, None)
        self._poll_schedule.plan(room, runs)
        return runs

    def wake(self) -> None:
        """Look at every queue at once: there are new runs."""
        self._poll_schedule.wake()
        self._next_survey = 0.0
        self._turn.note_news()

    def hurry(self) -> None:
        """Poll often again: a run has ended, and where there is work, more may come soon."""
        self._poll_schedule.hurry()

    def seconds(self, room: Mapping[str, int]) -> float:
        """Return the seconds until the next look, infinite without room."""
        return self._poll_schedule.seconds(room)

    # Paused queues.

    def is_paused(self, queue_name: str) -> bool:
        """Return whether the queue is known to be paused."""
        return queue_name in self._paused_queues

    @property
    def is_outdated(self) -> bool:
        """True if what is known of pauses is too old for what is about to begin."""
        return time.monotonic() - self._known_at >= SURVEY_INTERVAL

    def has_new_pause(self, *, look: bool) -> bool:
        """Return whether a queue was paused since the last call; look for that if wanted."""
        if look:
            self._survey_again()
        has_new_pause, self._has_new_pause = self._has_new_pause, False
        return has_new_pause

    def _take_in_wake_ups(self) -> None:
        # A pause that ends is news that names no queue, or a moment at which to look.
        notified = {name for name in self._wake_ups.take() if name not in self._paused_queues}
        if not notified:
            return
        self._poll_schedule.wake()
        self._cursor.ask_for_restart()
        named = [name for name in notified if name is not None]
        if len(named) < len(notified):
            self._must_survey = True
        if self._ready_queues or self._must_survey:
            self._next_survey = 0.0  # what waits in other queues may come first
            self._turn.note_news()
        else:
            # Who pauses a queue notifies of any queue, so we would know if these were paused.
            self._ready_queues = named
            self._known_at = time.monotonic()
            self._next_survey = self._known_at + SURVEY_INTERVAL

    def _claim(
        self, worker: UUID, room: Mapping[str, int], most: int, cursor: ClaimCursor | None
    ) -> list[TaskRun]:
        self._survey()
        runs = self._claim_ready(worker, room, most, cursor) if self._ready_queues else []
        self._turn.note_claim(room, missing_from(room, most, runs))
        if runs and self.is_outdated:  # the claim was held up
            self._survey_again()
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
        self._has_new_pause |= not outlook.paused <= self._paused_queues
        if not self._paused_queues <= outlook.paused:
            self._turn.note_news()
        self._paused_queues = outlook.paused
        self._must_survey = False
        self._known_at = now
        return outlook

    def _promoted_outlook(self, after: str | None) -> Outlook:
        outlook = self._store.outlook(self._backend, after, self._store.max_queues)
        if outlook.due_in > 0:
            return outlook
        promoted = promote(self._store)
        if promoted:
            self._turn.note_news()
        outlook = self._store.outlook(self._backend, after, self._store.max_queues)
        if outlook.due_in <= 0 and promoted < CHUNK:
            return outlook._replace(due_in=PROMOTE_AGAIN_AFTER)
        return outlook

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
        return [name for name in queues if name not in self._paused_queues]

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


def _most(room: Mapping[str, int], limit: int | None) -> int:
    most = sum(room.values())
    return most if limit is None else min(limit, most)


class PollSchedule:
    """
    When to look for runs of each executor: at once where a look has found as many as there was room
    for; otherwise after a pause that grows. It grows to a tenth of ``interval`` seconds while there
    was work within minutes, and to all of it afterwards. While ``is_notified`` returns True, the
    worker is woken for new runs, and hardly polls.
    """

    def __init__(self, interval: float, is_notified: Callable[[], bool] = lambda: False) -> None:
        self._interval, self._is_notified = interval, is_notified
        self._interval_after_work = min(interval, max(POLL_INTERVAL_AFTER_WORK, interval / 10))
        self._pause, self._worked_at = min(MIN_POLL_INTERVAL, interval), time.monotonic()
        self._next: dict[str, float] = {}
        self._looked_at = 0.0
        self._again_at = self._due_at = math.inf

    def room_due(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return the room of those executors that have some and are to be looked for now."""
        now = time.monotonic()
        looked_for = {
            executor: free
            for executor, free in room.items()
            if free > 0 and self._moment(executor) <= now
        }
        if looked_for:
            self._note_look(now)
        return looked_for

    def plan(self, asked: Mapping[str, int], runs: Iterable[TaskRun]) -> None:
        """Plan the next looks, after one that asked for this room and found these runs."""
        found = Counter(run.executor for run in runs)
        later = time.monotonic() + self._pause * random.uniform(0.8, 1)  # noqa: S311 - jitter
        for executor, wanted in asked.items():
            self._next[executor] = 0.0 if found[executor] >= wanted else later
        self._pause = self._longer_pause()

    def hurry(self) -> None:
        """Begin with the shortest pause again: there is work."""
        self._worked_at = time.monotonic()
        self._pause = min(MIN_POLL_INTERVAL, self._interval)

    def wake(self) -> None:
        """Look at once, and again once notifications that were left out would have come."""
        now = time.monotonic()
        at_once = max(now, self._looked_at + MIN_LOOK_INTERVAL)
        self._next = {executor: min(at, at_once) for executor, at in self._next.items()}
        self._again_at = now + LOOK_AGAIN_AFTER
        self.hurry()

    def look_again_in(self, seconds: float) -> None:
        """Look after ``seconds`` at the latest: the last look may have missed runs."""
        self._again_at = min(self._again_at, time.monotonic() + max(seconds, MIN_LOOK_INTERVAL))

    def expect_due_in(self, seconds: float) -> None:
        """Look after ``seconds`` at the latest: a scheduled run is due then."""
        self._due_at = time.monotonic() + max(seconds, MIN_LOOK_INTERVAL)

    def seconds(self, room: Mapping[str, int]) -> float:
        """Return the seconds until the next look, infinite without room."""
        looks = [self._moment(executor) for executor, free in room.items() if free > 0]
        return min(looks, default=math.inf) - time.monotonic()

    def _moment(self, executor: str) -> float:
        return min(self._next.get(executor, 0.0), self._again_at, self._due_at)

    def _note_look(self, now: float) -> None:
        self._looked_at = now
        if self._again_at <= now:
            self._again_at = math.inf
        if self._due_at <= now:
            self._due_at = math.inf

    def _longer_pause(self) -> float:
        if self._is_notified() and self._pause * 2 > NOTIFY_INTERVAL:
            return max(POLL_INTERVAL_IF_NOTIFIED, self._interval)
        is_active = time.monotonic() - self._worked_at < ACTIVE_FOR
        return min(self._pause * 2, self._interval_after_work if is_active else self._interval)
