"""What the step does when Celery stops, or shuts down cold."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals
from celery.utils.threads import default_socket_timeout
from celery.worker import WorkController
from celery.worker.components import Beat
from kombu.asynchronous.timer import Timer

from taskworks.celery_worker import tickets
from taskworks.celery_worker.kinds import THREADS
from taskworks.celery_worker.step import DeskStep
from taskworks.celery_worker.tickets import LONGEST_HOLD, Ticket
from tests.waiting import wait_for

pytestmark = pytest.mark.any_database


class Witness:
    """In the place of a desk: what it is told, and what it sees then."""

    def __init__(self, told: list[Any]) -> None:
        self._told = told
        self.executing = 0
        self.worker = SimpleNamespace(leaves_tasks_behind=False)

    def start(self) -> None: ...

    def hear(self, ticket: Ticket) -> None: ...

    def ask(self) -> None:
        self._told.append("ask")

    def release(self) -> None:
        self._told.append("release")

    def see_to_its_end(self) -> None:
        self._told.append(socket.getdefaulttimeout())


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def celery_worker(told: list[Any]) -> Any:
    def cancel() -> None:
        told.append("cancel")
        raise NotImplementedError  # as for a task of Celery's that a thread executes

    return SimpleNamespace(
        timer=Timer(),
        hub=object(),
        wait_for_soft_shutdown=lambda: told.append("wait"),
        consumer=SimpleNamespace(cancel_active_requests=cancel),
    )


@pytest.fixture
def step(celery_worker: Any, told: list[Any]) -> Iterator[DeskStep]:
    step = DeskStep(celery_worker)
    step._kind, step._desks, step._living = THREADS, [Witness(told)], set()
    step.start(celery_worker)
    yield step
    signals.worker_shutting_down.disconnect(step._heed_signal)


def test_runs_have_no_socket_timeout_of_celerys_while_it_stops(
    step: DeskStep, celery_worker: Any, told: list[Any]
) -> None:
    before = socket.getdefaulttimeout()
    with default_socket_timeout(5.0):
        step.stop(celery_worker)
        assert socket.getdefaulttimeout() == 5.0
    assert told == ["ask", before]


@pytest.mark.usefixtures("step")
def test_cold_it_gives_back_before_celery_fails_to_cancel(
    celery_worker: Any, told: list[Any]
) -> None:
    celery_worker.wait_for_soft_shutdown()
    assert told == ["ask", "wait", "release"]
    del told[:]
    with pytest.raises(NotImplementedError):
        celery_worker.consumer.cancel_active_requests()
    assert told == ["release", "cancel"]


def test_beat_has_begun_before_there_are_threads() -> None:
    blueprint = WorkController.Blueprint(steps=[DeskStep])
    order = blueprint._finalize_steps(blueprint.claim_steps())
    assert order.index(Beat) < order.index(DeskStep)


@pytest.fixture
def short_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "LONGEST_HOLD", 0.02)


@pytest.mark.usefixtures("short_hold")
def test_no_ticket_is_held_so_long_that_the_broker_ends_the_connection(
    step: DeskStep, celery_worker: Any, message: Any
) -> None:
    """Though no desk looks, as while its database is down."""
    assert LONGEST_HOLD < 30 * 60 / 2  # RabbitMQ's consumer_timeout
    step.hear(Ticket(message))
    step._held._acknowledge_older()
    assert not message.acknowledged  # it has come just now

    def is_acknowledged() -> bool:
        for _, entry in celery_worker.timer:
            if entry is None:
                break
            entry()
        step._main_thread.make_calls()
        return bool(message.acknowledged)

    wait_for(is_acknowledged, "it is acknowledged")
