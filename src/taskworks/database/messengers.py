"""
Who else is told that runs have become ready, besides the workers that the database notifies: the
workers of an engine that wait for messages of a broker.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from taskworks.database.notifications import awaiting_commit
from taskworks.database.transactions import is_inside_test_case

MAX_RUNS_TOLD = 1000  # of one call
MAX_RUNS_PER_COMMIT = 10_000


class ReadyRun(NamedTuple):
    """A run that is ready, or soon will be."""

    id: UUID
    metadata: Mapping[str, Any]


class Call(NamedTuple):
    """What one call has made ready: how many runs, and the first of them, if they are known."""

    total: int
    runs: Sequence[ReadyRun]


class Messenger(Protocol):
    """Tells an engine's workers of ready runs. It does not wait, and raises nothing."""

    def serves(self, backend: str | None) -> bool:
        """Return whether its workers take runs of this backend; of any, for None."""

    def tell(self, backend: str | None, queue_name: str | None, calls: Sequence[Call]) -> None:
        """Tell them of ready runs of a queue, or of any queue."""


# A tuple, so that without messengers only its emptiness is checked.
in_use: tuple[Messenger, ...] = ()


def add(messenger: Messenger) -> None:
    """Tell this messenger from now on."""
    global in_use  # noqa: PLW0603 - see there
    if messenger not in in_use:
        in_use = (*in_use, messenger)


def tell_on_commit(
    connection: BaseDatabaseWrapper,
    backend: str | None,
    queue_name: str | None = None,
    runs: Iterable[ReadyRun] = (),
    count: int = 1,
) -> None:
    """
    Tell messengers when the current transaction, if there is one, is committed: of so many ready
    runs, and which, as far as that is known.
    """
    serving = [messenger for messenger in in_use if messenger.serves(backend)]
    if not serving or is_inside_test_case(connection):
        return
    call = Call(count, [*islice(runs, MAX_RUNS_TOLD)])
    news = News(serving, backend, queue_name)
    if not connection.in_atomic_block:
        news.add(call)
        news()
    elif waiting := awaiting_commit(news, connection):
        waiting.add(call)
    else:
        news.add(call)
        transaction.on_commit(news, using=connection.alias, robust=True)


class News:
    """What is to be told of a queue; equal if it is of the same one."""

    def __init__(
        self, messengers: Sequence[Messenger], backend: str | None, queue_name: str | None
    ) -> None:
        self._messengers, self._about = messengers, (backend, queue_name)
        self._calls: list[Call] = []
        self._left = MAX_RUNS_PER_COMMIT

    def __eq__(self, other: object) -> bool:
        return isinstance(other, News) and self._about == other._about

    def __hash__(self) -> int:
        return hash(self._about)

    def add(self, call: Call) -> None:
        """Add what one more call has made ready, unless that is more than anybody is told."""
        if self._left > 0:
            self._left -= max(1, len(call.runs))
            self._calls.append(call)

    def __call__(self) -> None:
        for messenger in self._messengers:
            messenger.tell(*self._about, self._calls)
