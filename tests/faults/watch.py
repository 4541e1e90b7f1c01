"""What must hold of limits, rates, keys and pauses, whichever process dies."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from taskworks.control import pause, resume
from taskworks.models import TaskRun
from taskworks.models.run import FINISHED
from taskworks.options.rates import rate_of
from tests.connections import begin_elsewhere
from tests.faults import flow_shelf as shelf
from tests.faults.caller import Accepted
from tests.faults.doomed import Fate
from tests.faults.pace import PACE, SLACK
from tests.windows import excess

PAUSED = shelf.pausable.queue_name
INTERVAL = PACE.points / 10  # seconds between two pauses
HEEDED_WITHIN = 3.0  # seconds, even if a process has to wait for a processor
HELD_BACK = {task.name for task in (shelf.index, shelf.latest, shelf.settled)}


@dataclass
class Moments:
    """When runs of each tenant were claimed, whatever became of the claims."""

    _of_claims: dict[tuple[Any, Any], tuple[str, datetime]] = field(default_factory=dict)

    def note(self, rows: Iterable[tuple[Any, ...]]) -> None:
        for run, token, limit, lane, at in rows:
            if limit == shelf.CALLS.name and at is not None:
                self._of_claims[run, token] = (lane, at)

    def of(self, lane: str) -> list[datetime]:
        return [at for its_lane, at in self._of_claims.values() if its_lane == lane]

    def lanes(self) -> set[str]:
        return {lane for lane, _ in self._of_claims.values()}


class Watch:
    """Looks at rows while processes die."""

    def __init__(self) -> None:
        self.moments = Moments()
        self.looks = self.most_of_lane = self.most_of_all = 0

    def look(self) -> None:
        """Each is one statement, which sees one moment."""
        rows = TaskRun.objects.in_hand().values_list(
            "id", "claim_token", "limit_name", "lane", "claimed_at"
        )
        in_hand = [*rows]
        self.moments.note(in_hand)
        self._slots_are_kept([(limit, lane) for _, _, limit, lane, _ in in_hand])
        self._one_stands()
        self.looks += 1

    def _slots_are_kept(self, in_hand: Sequence[tuple[str, str]]) -> None:
        """No more of a limit, or of one of its keys, are in hand than may be."""
        lanes = Counter(lane for limit, lane in in_hand if limit == shelf.IMPORTS.name)
        of_all, of_lane = sum(lanes.values()), max(lanes.values(), default=0)
        assert of_lane <= shelf.AT_ONCE, f"{of_lane} of a lane are in hand: {lanes}"
        assert of_all <= shelf.TOTAL, f"{of_all} of a limit are in hand"
        self.most_of_lane = max(self.most_of_lane, of_lane)
        self.most_of_all = max(self.most_of_all, of_all)
        documents = Counter(lane for limit, lane in in_hand if limit == shelf.INDEXING.name)
        assert max(documents.values(), default=0) <= 1, f"two of a document: {documents}"

    def _one_stands(self) -> None:
        """One unfinished run has a key that is held while a run is unfinished."""
        unfinished = TaskRun.objects.filter(task_path=shelf.sync.module_path)
        unfinished = unfinished.exclude(state__in=FINISHED)
        keys = Counter(json.dumps(given) for given in unfinished.values_list("args", "kwargs"))
        twice = [key for key, number in keys.items() if number > 1]
        assert not twice, f"two unfinished runs have one key: {twice}"

    # At the end.

    def rates_were_kept(self) -> None:
        """No more calls of a lane were claimed in any time than its rate allows."""
        self.moments.note(
            TaskRun.objects.filter(limit_name=shelf.CALLS.name).values_list(
                "id", "claim_token", "limit_name", "lane", "claimed_at"
            )
        )
        rate = rate_of(f"{shelf.RATE}/s", shelf.BURST)
        assert rate
        for lane in self.moments.lanes():
            assert excess(self.moments.of(lane), rate) <= 0, f"too many calls of {lane}"


def slots_were_kept_between_looks() -> None:
    """The same as at each look, by when the rows say that each run was claimed and had ended."""
    runs = TaskRun.objects.successful().filter(limit_name=shelf.IMPORTS.name)
    spans = [*runs.values_list("lane", "claimed_at", "finished_at")]
    assert most_at_once((begin, end) for _, begin, end in spans) <= shelf.TOTAL
    for lane in {lane for lane, _, _ in spans}:
        number = most_at_once((begin, end) for its, begin, end in spans if its == lane)
        assert number <= shelf.AT_ONCE, f"{number} of lane {lane} were in hand at once"


def most_at_once(spans: Iterable[tuple[datetime, datetime]]) -> int:
    changes = sorted(change for begin, end in spans for change in ((begin, 1), (end, -1)))
    number = most = 0
    for _, change in changes:
        number += change
        most = max(most, number)
    return most


def what_was_committed_was_seen(accepted: Sequence[Accepted]) -> int:
    """Each run that an enqueue has returned is there, and saw what was committed with it."""
    seen = {
        str(run): value
        for run, value in TaskRun.objects.values_list("id", "return_value").iterator()
    }
    gone = [one for one in accepted if one.run not in seen]
    assert not gone, f"runs that were returned are not there: {gone[:5]}"
    new = Counter(one.run for one in accepted if one.is_new)
    assert max(new.values()) == 1, "a run was new twice"
    stale = [one for one in accepted if one.task in HELD_BACK and seen[one.run] < one.number]
    assert not stale, f"runs have not seen what was committed: {stale[:5]}"
    return sum(one.task in HELD_BACK for one in accepted)


class Pauses:
    """Pauses a queue again and again: nothing of it begins."""

    def __init__(self, fate: Fate) -> None:
        self._fate, self._ledger = fate, fate.scene.ledger
        self.number = 0
        # On SQLite a frozen process may hold up a write, and is woken by who waits for this one.
        self._writing: Future[Any] | None = None
        self._paused_at: float | None = None
        self._held_since: float | None = None  # all that was in hand has been given back
        self._next = time.monotonic() + INTERVAL

    def look(self) -> None:
        if self._writing and not self._writing.done():
            return
        if self._writing:
            self._writing.result()
            self._writing, self._next = None, time.monotonic() + HEEDED_WITHIN
        elif time.monotonic() < self._next:
            return
        elif self._paused_at is None:
            self._paused_at = time.monotonic()
            self._writing = begin_elsewhere(lambda: pause(PAUSED))
        elif self._held_since is None:
            self._wait_until_given_back(self._paused_at)
        else:
            self._resume()

    def end(self) -> None:
        """Resume what is paused."""
        if self._writing:
            self._writing.result(timeout=60)
        if self._paused_at is not None:
            self._resume()
            self._writing.result(timeout=60)  # type: ignore[union-attr]

    def _resume(self) -> None:
        """Nothing has begun meanwhile, except what a frozen process had in hand."""
        if self._held_since is not None:
            begun = [one for one in self._ledger.entries("began") if one.at > self._held_since]
            begun = [one for one in begun if one.pid not in self._fate.frozen]
            assert not begun, f"runs of a paused queue have begun: {begun}"
            self.number += 1
        self._writing = begin_elsewhere(lambda: resume(PAUSED))
        self._paused_at = self._held_since = None

    def _wait_until_given_back(self, paused_at: float) -> None:
        if TaskRun.objects.in_hand().filter(queue_name=PAUSED).exists():
            late = time.monotonic() - paused_at - 2 * (PACE.rescue + SLACK)
            assert late < 0, "runs of a paused queue are not given back"
            return
        self._held_since = time.monotonic()
        self._next = self._held_since + INTERVAL / 2
