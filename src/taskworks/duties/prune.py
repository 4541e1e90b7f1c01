"""Prune: delete runs that ended long ago."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db import InternalError, OperationalError

from taskworks.duties.chunk import MOST, Chunk
from taskworks.options.retention import Rule
from taskworks.store import Store
from taskworks.store.pruning import Aged

LOOK_BACK_EVERY = timedelta(hours=1).total_seconds()


def prunable(store: Store, rules: Iterable[Rule]) -> int:
    """How many runs ``prune`` would delete now."""
    return sum(store.prunable(rule).count() for rule in rules)


def prune(store: Store, rules: Sequence[Rule]) -> int:
    """
    Delete what is too old, in chunks, so that no statement holds many rows; say how many went.
    One that the database refuses, since it took too long, is tried again with fewer.
    """
    sweep = Sweep(store, rules)
    while sweep.has_more:
        was_least = sweep.chunk.is_least
        try:
            sweep.step()
        except (OperationalError, InternalError):  # the latter if it was silent for too long
            if was_least:
                raise
    return sweep.pruned


class Sweep:
    """
    Goes through what is too old by some rules, a chunk a step, from the oldest on.

    What it meets and does not delete, because it is kept or somebody holds it, it does not look at
    again for an hour: so runs that are kept for ever do not cost a look each time.
    """

    def __init__(self, store: Store, rules: Sequence[Rule]) -> None:
        self._store, self._rules = store, rules
        self.chunk = Chunk(MOST)
        self.pruned = 0
        self._seen: dict[Rule, Aged] = {}
        self._to_do = list(rules)
        self._looks_back_at = time.monotonic() + LOOK_BACK_EVERY

    @property
    def has_more(self) -> bool:
        """Whether it is under way."""
        return bool(self._to_do)

    def begin(self) -> None:
        """Once more, for what has become too old meanwhile."""
        if time.monotonic() >= self._looks_back_at:
            self._seen.clear()
            self._looks_back_at = time.monotonic() + LOOK_BACK_EVERY
        self._to_do = list(self._rules)

    def step(self) -> None:
        """Delete what is too old among the next few."""
        if not self._to_do:
            return
        rule = self._to_do[0]
        with self.chunk.measured() as size:
            met = self._store.aged(rule, self._seen.get(rule), size)
            old = [one.id for one in met if rule.holds_in(one.backend, one.queue_name)]
            self.pruned += self._store.prune(rule, old) if old else 0
        if met:
            self._seen[rule] = met[-1]
        if len(met) < size:
            self._to_do.pop(0)
