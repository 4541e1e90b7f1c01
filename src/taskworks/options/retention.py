"""
How long finished runs are kept: ``RETENTION`` and ``QUEUE_RETENTION`` in
``TASKS[alias]["OPTIONS"]``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from taskworks.conf import nearest
from taskworks.framework import BaseTaskBackend

# Failures are kept longer, because a person has to look into them.
DEFAULTS: dict[str, timedelta | None] = {
    "successful": timedelta(days=14),
    "failed": timedelta(days=30),
    "cancelled": timedelta(days=30),
}
OUTCOMES = tuple(DEFAULTS)
MAX_AGE = timedelta(days=36_500)  # a longer age might reach before the first date

Ages = Mapping[str, timedelta | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """Runs with this outcome are pruned at this age: in one queue, or in all but some."""

    backend: str
    outcome: str  # the state of such a run
    age: timedelta
    queue: str | None = None  # None is every queue
    others: frozenset[str] = frozenset()  # queues that have rules of their own

    def holds_in(self, backend: str, queue_name: str) -> bool:
        """Return whether the rule applies to runs of this queue."""
        if backend != self.backend:
            return False
        return queue_name not in self.others if self.queue is None else queue_name == self.queue


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the finished runs of a backend are kept, by outcome; None means forever."""

    backend: str
    ages: Ages
    queues: Mapping[str, Ages]

    def rules(self) -> list[Rule]:
        """Return the rules for all queues."""
        others = frozenset(self.queues)
        return [
            *self._rules_of(self.ages, others=others),
            *(rule for queue in self.queues for rule in self._rules_of_queue(queue)),
        ]

    def rules_in(self, names: Sequence[str]) -> list[Rule]:
        """Return the rules for these queues."""
        return [rule for queue in names for rule in self._rules_of_queue(queue)]

    def with_ages(self, changed: Ages) -> "Retention":
        """Return a retention with other ages, in every queue."""
        queues = {queue: {**ages, **changed} for queue, ages in self.queues.items()}
        return Retention(self.backend, {**self.ages, **changed}, queues)

    def _rules_of_queue(self, queue: str) -> Iterator[Rule]:
        return self._rules_of(self.queues.get(queue, self.ages), queue)

    def _rules_of(
        self, ages: Ages, queue: str | None = None, others: frozenset[str] = frozenset()
    ) -> Iterator[Rule]:
        for outcome, age in ages.items():
            if age is not None:
                yield Rule(self.backend, outcome, age, queue, others)


def retention_of(backend: BaseTaskBackend) -> Retention:
    """Return the retention in a backend's OPTIONS; raise ImproperlyConfigured if invalid."""
    place = f"TASKS[{backend.alias!r}]['OPTIONS']"
    given = _valid_ages(backend.options.get("RETENTION", {}), f"{place}['RETENTION']")
    ages = {**DEFAULTS, **given}
    queues = backend.options.get("QUEUE_RETENTION", {})
    if not isinstance(queues, Mapping):
        raise ImproperlyConfigured(f"{place}['QUEUE_RETENTION'] must be a dict, not {queues!r}.")
    for queue in queues:
        if backend.queues and queue not in backend.queues:
            raise ImproperlyConfigured(
                f"{place}['QUEUE_RETENTION'] has the queue {queue!r}, which is not in 'QUEUES'."
                f"{nearest(str(queue), list(backend.queues))}"
            )
    of_queues = {
        queue: {**ages, **_valid_ages(given, f"{place}['QUEUE_RETENTION'][{queue!r}]")}
        for queue, given in queues.items()
    }
    return Retention(backend.alias, ages, of_queues)


def _valid_ages(given: Any, place: str) -> Ages:
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{place} must be a dict of ages by outcome, not {given!r}.")
    for outcome, age in given.items():
        if outcome not in OUTCOMES:
            raise ImproperlyConfigured(
                f"{place} has no outcome {outcome!r}.{nearest(str(outcome), list(OUTCOMES))}"
            )
        if age is not None and not _is_age(age):
            raise ImproperlyConfigured(
                f"{place}[{outcome!r}] must be a timedelta from 0 to {MAX_AGE.days:,} days, or "
                f"None to keep such runs forever, not {age!r}."
            )
    return dict(given)


def _is_age(given: Any) -> bool:
    return isinstance(given, timedelta) and timedelta() <= given <= MAX_AGE
