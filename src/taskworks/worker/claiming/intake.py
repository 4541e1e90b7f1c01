"""How a worker comes by its runs: from which queues, and when it looks."""

import time
from collections.abc import Mapping
from uuid import UUID

from taskworks.duties.promote import promote
from taskworks.models import TaskRun
from taskworks.store import Store
from taskworks.store.claiming import NO_PLACES, Places
from taskworks.worker.claiming.cursor import ClaimCursor
from taskworks.worker.claiming.listening import NotificationListener
from taskworks.worker.claiming.poll_schedule import PollSchedule
from taskworks.worker.claiming.queues import Queues

SURVEY_EVERY = 0.2  # seconds between two looks at which queues there are, at the least
WHILE_HELD = 0.5  # seconds between two tries to promote what another session holds


class Intake:
    """Claims ready runs. Any thread may use it, but only one at a time."""

    def __init__(
        self,
        store: Store,
        backend: str,
        queues: Queues,
        interval: float,
        wakeup: NotificationListener,
    ) -> None:
        self._store, self._backend, self._taken, self._listener = store, backend, queues, wakeup
        self._poll_schedule = PollSchedule(interval, is_told=lambda: wakeup.works)
        self._cursor = ClaimCursor()
        self._queues: list[str] = []
        self._next_survey = 0.0

    def due(self, room: Mapping[str, int]) -> dict[str, int]:
        """For how many runs of each executor to look now."""
        self._heed_news()
        return self._poll_schedule.due(room)

    def claim(self, worker: UUID, room: Mapping[str, int], limit: int | None) -> list[TaskRun]:
        """Claim as much as there is room for, and plan when to look again."""
        runs = self._claim(worker, room, limit, self._cursor)
        self._poll_schedule.plan(room, runs)
        if self._cursor.owes:
            self._poll_schedule.look_again(self._cursor.seconds)
        return runs

    def claim_the_last(
        self, worker: UUID, room: Mapping[str, int], limit: int | None
    ) -> list[TaskRun]:
        """The same, from every queue that there is, and overlooking nothing."""
        self._next_survey = 0.0
        runs = self._claim(worker, room, limit, None)
        self._poll_schedule.plan(room, runs)
        return runs

    def wake(self) -> None:
        """There is something new, in whichever queue: look at once."""
        self._poll_schedule.wake()
        self._next_survey = 0.0

    def hurry(self) -> None:
        """There is work: more may come soon."""
        self._poll_schedule.hurry()

    def seconds(self, room: Mapping[str, int]) -> float:
        """Until the next look; infinite where there is no room."""
        return self._poll_schedule.seconds(room)

    def _heed_news(self) -> None:
        if not (told := self._listener.take()):
            return
        self._poll_schedule.wake()
        self._cursor.look_back()
        named = [name for name in told if name is not None]
        if self._queues or len(named) < len(told):
            self._next_survey = 0.0  # what waits in other queues may come first
        else:
            self._queues, self._next_survey = named, time.monotonic() + SURVEY_EVERY

    def _claim(
        self, worker: UUID, room: Mapping[str, int], limit: int | None, cursor: ClaimCursor | None
    ) -> list[TaskRun]:
        self._survey()
        runs = self._claim_queued(worker, room, limit, cursor) if self._queues else []
        if len(runs) < sum(room.values()):
            self._next_survey = 0.0
        return runs

    def _claim_queued(
        self, worker: UUID, room: Mapping[str, int], limit: int | None, cursor: ClaimCursor | None
    ) -> list[TaskRun]:
        most = sum(room.values())
        limit = most if limit is None else min(limit, most)

        def claim(room: Mapping[str, int], limit: int, places: Places) -> list[TaskRun]:
            return self._store.claim(
                worker, self._backend, self._queues, room, limit, places=places
            )

        if cursor and self._store.uses_cursors:
            return cursor.claim(claim, room, limit)
        return claim(room, limit, NO_PLACES)

    def _survey(self) -> None:
        """
        Which queues have ready runs, once what is due is ready too; not asked with every claim,
        while they are answered.
        """
        now = time.monotonic()
        if now < self._next_survey:
            return
        outlook = self._store.outlook(self._backend)
        if outlook.due_in <= 0:
            has_more = promote(self._store)
            outlook = self._store.outlook(self._backend)
            if outlook.due_in <= 0 and not has_more:
                outlook = outlook._replace(due_in=WHILE_HELD)
        self._poll_schedule.expect(outlook.due_in)
        self._queues = [name for name in outlook.queues if self._taken.takes(name)]
        self._next_survey = now + SURVEY_EVERY
