"""Calls in Celery's main thread, which leave time for what its event loop has to do."""

from types import SimpleNamespace

import pytest
from kombu.asynchronous import Hub

from taskworks.celery_worker.main_thread import MainThread


@pytest.mark.any_database
def test_a_call_that_adds_another_leaves_a_turn_to_celery() -> None:
    hub = Hub()
    main_thread = MainThread(SimpleNamespace(hub=hub, consumer=None))
    made = []

    def add_another() -> None:
        made.append(len(made))
        if len(made) < 100:
            main_thread.call_soon(add_another)

    main_thread.call_soon(add_another)
    main_thread.make_calls()
    assert made == [0]
    main_thread.listen(hub)
    while len(made) < 100:  # each of them wakes the event loop
        hub.run_once()
    hub.close()
