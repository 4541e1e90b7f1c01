"""What a worker knows of its orders when the child process that has them dies, or is asked."""

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskworks.celery_worker.marks import read_mark
from taskworks.execution import Attempt, Outcome, Released, Succeeded, prepare
from taskworks.models import Worker
from taskworks.store import store
from taskworks.worker.piped_process import PipedProcess
from taskworks.worker.pools import ordering
from taskworks.worker.pools.messages import TurnBegun, TurnEnded
from taskworks.worker.pools.ordering import ChildGuard, Orders
from tests import tasks
from tests.processes.conftest import ROOT
from tests.waiting import wait_for
from tests.worker.pools.stopping_child import PIPE_VARIABLE, POINTS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.any_database]

BEFORE, AFTER, OVER = POINTS


class Child(PipedProcess):
    """The worker's side of a child that stops in its second order."""

    tasks = memory = 0

    def __init__(self, folder: Path, point: str, what: str) -> None:
        self.folder = folder
        self.orders = Orders(self, object)
        super().__init__(
            [sys.executable, "-m", "tests.worker.pools.stopping_child", str(folder), point, what],
            PIPE_VARIABLE,
            {"DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdin=subprocess.PIPE,
            cwd=ROOT,
        )

    @property
    def mark(self) -> int:
        return read_mark(self.folder, self.pid)

    def wait_until_it_stops(self) -> None:
        wait_for((self.folder / "stopped").exists, "it is at the point")

    def go_on(self) -> None:
        assert self._process.stdin
        self._process.stdin.write(b"1")
        self._process.stdin.close()


@contextmanager
def child_with_orders(folder: Path, point: str, what: str) -> Iterator[tuple[Child, list[Attempt]]]:
    """It has three; their attempts."""
    attempts = claimed(3)
    child = Child(folder, point, what)
    try:
        assert isinstance(child.receive(within=60), TurnBegun)
        assert child.orders.give(attempts) == []
        yield child, attempts
    finally:
        child.kill_group()
        child.wait(60)
        child.close()


def claimed(count: int) -> list[Attempt]:
    tasks.noop.enqueue_many([()] * count)
    row = Worker(label="of a test", hostname="here", pid=1)
    store().register(row)
    runs = store().claim(row.id, "default", ["default"], {"thread": count})
    attempts = [Attempt(run, "of a test") for run in runs]
    for attempt in attempts:
        assert prepare(attempt) is None
        attempt.guarded_by(ChildGuard())
    return attempts


def hear_all(child: Child) -> dict[Attempt, Outcome | None]:
    heard: dict[Attempt, Outcome | None] = {}
    while child.orders:
        heard.update(child.orders.hear())
    return heard


@pytest.mark.parametrize(("point", "mark"), [(BEFORE, 0), (AFTER, 2), (OVER, 0)])
def test_of_a_child_that_dies_its_mark_says_what_it_executed(
    tmp_path: Path, point: str, mark: int
) -> None:
    """Nothing was told of those that had ended: it was held."""
    with child_with_orders(tmp_path, point, "die") as (child, attempts):
        with pytest.raises((EOFError, ConnectionError)):
            hear_all(child)
        assert child.wait(60) == 1
        assert child.mark == mark
        assert child.orders.close() == dict(enumerate(attempts, 1))
        assert {attempt.began for attempt in attempts} == {None}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("is_withdrawn", [False, True])
def test_what_has_not_begun_is_given_back(tmp_path: Path, point: str, is_withdrawn: bool) -> None:
    with child_with_orders(tmp_path, point, "wait") as (child, attempts):
        child.wait_until_it_stops()
        assert child.orders.waits_since < math.inf
        recall: Any = child.orders.withdraw if is_withdrawn else child.orders.recall
        recall()
        assert (child.orders.waits_since == math.inf) == is_withdrawn
        heard: dict[Attempt, Outcome | None] = {}
        while attempts[2] not in heard:
            heard.update(child.orders.hear())
        child.go_on()
        heard |= hear_all(child)
        assert heard == {
            attempts[0]: Succeeded(None),
            attempts[1]: Succeeded(None),
            attempts[2]: Released() if is_withdrawn else None,
        }
        child.send(TurnEnded())
        assert child.wait(60) == 0


def test_one_that_is_marked_has_begun_although_nobody_says_so(tmp_path: Path) -> None:
    """As if code in C held the interpreter."""
    with child_with_orders(tmp_path, AFTER, "wait") as (child, attempts):
        child.wait_until_it_stops()
        child.orders.look(3600)
        assert {attempt.began for attempt in attempts} == {None}
        child.orders.look()
        assert [attempt.began is not None for attempt in attempts] == [False, True, False]


def test_who_is_marked_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the time within which a child has to answer."""
    with child_with_orders(tmp_path, AFTER, "wait") as (child, _):
        child.wait_until_it_stops()
        monkeypatch.setattr(ordering, "ANSWER_TIMEOUT", 0.01)
        receive = child.receive
        waits: list[float | None] = []

        def receive_and_note(within: float | None = None) -> Any:
            waits.append(within)
            if waits == [0.01, None]:
                child.go_on()
            return receive(within)

        monkeypatch.setattr(child, "receive", receive_and_note)
        assert [*hear_all(child).values()] == [Succeeded(None)] * 3
        assert waits[:2] == [0.01, None]
