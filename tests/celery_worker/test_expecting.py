"""A child of Celery's has its turn while the run is claimed that is to be executed in it."""

import math
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing.connection import Client, Connection
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from taskworks.celery_worker import prefork
from taskworks.celery_worker.main_thread import MainThread
from taskworks.celery_worker.prefork import CeleryPrefork
from taskworks.celery_worker.requests import RunRequest
from taskworks.celery_worker.tickets import Ticket, TicketSource
from taskworks.execution import Attempt, Outcome, Succeeded, prepare
from taskworks.models import Worker
from taskworks.store import store
from taskworks.worker.claiming import NoWakeUps
from taskworks.worker.pools import threads
from taskworks.worker.pools.messages import AttemptBegun, AttemptEnded, TurnBegun, TurnEnded
from tests import tasks
from tests.waiting import wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]

BRIEF, LONG = 0.00001, 0.01  # seconds that runs have taken
LIVES_UNTIL_IT_IS_ASKED = "import sys; sys.stdin.read()"


class Celery:
    """A Celery worker with two children, which notes the turns that it is asked for."""

    hostname, autoscaler, hub = "node@here", None, object()
    consumer = SimpleNamespace(connection=SimpleNamespace(connected=True))

    def __init__(self) -> None:
        self.turns: list[tuple[str, int]] = []
        self.of_billiard = SimpleNamespace(timeout=None, soft_timeout=None, _maxtasksperchild=None)
        self.pool = SimpleNamespace(
            limit=2,
            num_processes=2,
            _pool=self.of_billiard,
            apply_async=lambda function, turn, **options: self.turns.append(turn),
            maintain_pool=lambda: None,
        )


class Child:
    """A child that has begun a turn."""

    def __init__(self, address: str, number: int) -> None:
        connection = Client(address, family="AF_UNIX")
        assert isinstance(connection, Connection)
        self._connection = connection
        self._process = subprocess.Popen(
            [sys.executable, "-c", LIVES_UNTIL_IT_IS_ASKED], stdin=subprocess.PIPE
        )
        connection.send(TurnBegun(number, self._process.pid))

    def hear(self) -> Any:
        assert self._connection.poll(60)
        return self._connection.recv()

    def execute(self) -> None:
        [order] = self.hear()
        self._connection.send(AttemptBegun(order.number, 0.0))
        ended = AttemptEnded(order.number, 0.0, Succeeded(None), 0, frozenset())
        self._connection.send(ended)

    def end(self) -> None:
        self._process.communicate()
        self._connection.close()


class Pool(CeleryPrefork):
    """The pool of a worker that has nothing to do."""

    def __init__(self) -> None:
        self.celery, self.ended = Celery(), list[Outcome]()
        self.main_thread, self._children = MainThread(self.celery), list[Child]()
        super().__init__(
            self.main_thread,
            self.celery,
            partial(RunRequest, celery_worker=self.celery, task=None, release=lambda: None),
            object,
            lambda attempt, outcome: self.ended.append(outcome),
        )

    def rest(self) -> None:
        """Have it be idle for a while."""
        wait_for(lambda: not self._awake, "all turns have ended")
        self._moved_at = -math.inf

    @property
    def turns(self) -> int:
        """How many turns Celery was asked for."""
        self.main_thread.make_calls()
        return len(self.celery.turns)

    def begin_turn(self) -> Child:
        """Begin the turn that was asked for last."""
        assert self.turns
        self._children.append(Child(*self.celery.turns[-1]))
        return self._children[-1]

    def submit_one(self) -> None:
        tasks.noop.enqueue()
        row = Worker(label="of a test", hostname="here", pid=1)
        store().register(row)
        [run] = store().claim(row.id, "default", ["default"], {"thread": 1})
        attempt = Attempt(run, "of a test")
        assert prepare(attempt) is None
        self.submit([attempt])

    def end(self) -> None:
        for child in self._children:
            child.end()
        self.close()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setattr(prefork, "EXPECTED_WITHIN", 60.0)
    pool = Pool()
    pool.rest()
    yield pool
    pool.end()


@pytest.mark.parametrize("took", [BRIEF, LONG])
def test_the_turn_has_begun_when_the_run_comes(pool: Pool, took: float) -> None:
    pool.claim_ahead.note([took] * 20)
    pool.expect()
    child = pool.begin_turn()
    pool.submit_one()
    child.execute()
    assert child.hear() == TurnEnded()
    assert pool.ended == [Succeeded(None)]
    assert pool.turns == 1


def test_a_turn_that_comes_late_finds_the_run(pool: Pool) -> None:
    pool.expect()
    pool.submit_one()
    child = pool.begin_turn()
    child.execute()
    assert child.hear() == TurnEnded()
    assert pool.turns == 1


def test_the_turn_that_was_expected_is_enough(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker looks again at once, before the child can take anything."""
    monkeypatch.setattr(threads, "WIDEN_AFTER", 60.0)
    pool.expect()
    pool._moved_at = -math.inf  # the claim has taken long
    pool.submit_one()
    pool.widen()
    assert pool.turns == 1


def test_it_waits_for_a_moment_only(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefork, "EXPECTED_WITHIN", 0.01)
    pool.expect()
    assert pool.begin_turn().hear() == TurnEnded()


def test_after_it_was_in_vain_none_is_expected_until_there_was_a_run(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prefork, "EXPECTED_WITHIN", 0.0)
        pool.expect()
        assert pool.begin_turn().hear() == TurnEnded()
    pool.rest()
    pool.expect()
    assert pool.turns == 1
    pool.submit_one()
    child = pool.begin_turn()
    child.execute()
    assert child.hear() == TurnEnded()
    assert pool.turns == 2
    pool.rest()
    pool.expect()
    assert pool.turns == 3


def test_none_is_expected_twice_or_by_a_pool_at_work(pool: Pool) -> None:
    pool.expect()
    pool.expect()
    assert pool.turns == 1
    child = pool.begin_turn()
    pool.submit_one()
    child.execute()
    assert child.hear() == TurnEnded()
    wait_for(lambda: not pool._awake, "the turn has ended")
    pool._moved_at = math.inf  # a moment ago
    pool.expect()
    assert pool.turns == 1


def test_none_is_expected_where_celery_counts_turns(pool: Pool) -> None:
    pool.celery.of_billiard._maxtasksperchild = 10
    pool.expect()
    assert pool.turns == 0


def test_none_is_expected_while_celerys_own_tasks_have_all_children(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "active_requests", {object(), object()})
    pool.expect()
    assert pool.turns == 0


def test_one_is_expected_before_a_look_for_which_there_is_a_reason(message: Any) -> None:
    expected, main_thread = list[None](), MainThread(SimpleNamespace(hub=object(), consumer=None))
    source = TicketSource(
        NoWakeUps(),
        lambda: None,
        main_thread,
        has_room=lambda: True,
        do_come=lambda: True,
        expect=lambda: expected.append(None),
    )
    source.take()
    assert not expected
    source.hear(Ticket(message))
    source.take()
    assert len(expected) == 1
