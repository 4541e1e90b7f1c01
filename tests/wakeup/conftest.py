import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from taskworks.database import notifications
from taskworks.wakeup import channel, sender
from taskworks.wakeup.channel import channel_of
from tests.connections import elsewhere
from tests.redis_server import RedisServer, redis_server
from tests.waiting import wait_for
from tests.worker.claiming.conftest import idle_worker, start_worker

__all__ = ["idle_worker", "start_worker"]

Heard = Callable[..., AbstractContextManager[list[Any]]]


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisServer]:
    """One for all of these tests, which leave it as they found it."""
    with redis_server() as server:
        yield server


@pytest.fixture
def redis(
    _shared_redis: RedisServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RedisServer]:
    """A server by which workers are woken, and by which alone."""
    settings.TASKWORKS = {
        **settings.TASKWORKS,
        "NOTIFY": False,
        "WAKEUP": _shared_redis.address,
    }
    notifications._sent_at.clear()
    monkeypatch.setattr(sender, "_sender", None)
    monkeypatch.setattr(channel, "_known", {})  # a test may have made the tables anew
    yield _shared_redis
    _shared_redis.restore()


@pytest.fixture
def heard(redis: RedisServer) -> Heard:
    """What is sent within a block, as a subscriber hears it."""

    @contextmanager
    def heard(alias: str = "default") -> Iterator[list[Any]]:
        payloads: list[Any] = []
        _flush()  # what was said before
        name = elsewhere(lambda: channel_of(alias))
        with redis.client() as client, client.pubsub() as subscription:
            subscription.subscribe(name)
            wait_for(subscription.get_message, "it is subscribed")
            yield payloads
            _flush()
            client.publish(name, '"the end"')
            while '"the end"' not in payloads:
                if (message := subscription.get_message(timeout=60)) is None:
                    raise AssertionError("nothing is heard any more")
                payloads.append(message["data"].decode())
        payloads[:] = map(json.loads, payloads[:-1])

    return heard


def _flush() -> None:
    if living := sender._living():
        living.flush(60)
