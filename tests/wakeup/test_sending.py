"""Who enqueues does not wait for Redis, and does not fail because of it."""

import os
import subprocess
import sys
from typing import Any

import pytest

from taskworks.models import TaskRun
from taskworks.wakeup import address, channel, sender
from taskworks.wakeup.channel import channel_of
from taskworks.wakeup.sender import MAX_WAITING, Sender, wake
from tests import tasks
from tests.connections import elsewhere
from tests.processes import conftest as processes
from tests.redis_server import RedisServer
from tests.wakeup.conftest import Heard

pytestmark = pytest.mark.django_db(transaction=True)

NEVER = 600.0  # seconds; longer than a test may take


def the_sender() -> Sender:
    assert sender._sender
    return sender._sender


def test_who_enqueues_does_not_wait_for_a_redis_that_is_frozen(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address, "TIMEOUT", NEVER)
    redis.freeze()
    for _ in range(50):
        tasks.noop.enqueue()
    assert TaskRun.objects.ready().count() == 50
    for number in range(2 * MAX_WAITING):  # while it waits for an answer
        wake("default", str(number))
    assert the_sender()._waiting.qsize() <= MAX_WAITING
    redis.stop()
    the_sender().flush(NEVER)  # or it would go on in the next test


@pytest.mark.parametrize(
    "given",
    ["redis://127.0.0.1:1/0", "unix:///nowhere/redis.sock", "http://127.0.0.1/", "redis://::::/"],
)
def test_runs_are_enqueued_whatever_the_address_is(
    settings: Any, redis: RedisServer, given: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.TASKWORKS = {**settings.TASKWORKS, "WAKEUP": given}
    for _ in range(3):
        tasks.noop.enqueue()
        tasks.send_mail.enqueue("you")
        the_sender().flush(NEVER)
    assert TaskRun.objects.ready().count() == 6
    assert caplog.text.count("Redis error while waking workers; retrying: ") == 1


def test_without_redis_py_runs_are_enqueued(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    tasks.noop.enqueue()
    the_sender().flush(NEVER)
    assert "pip install 'django-taskworks[redis]'" in caplog.text


def test_while_redis_does_not_answer_nothing_is_tried_until_the_rest_is_over(
    redis: RedisServer,
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sender, "SHORTEST_REST", NEVER)
    redis.stop()
    wake("default", "[]")
    the_sender().flush(NEVER)
    redis.start()
    with heard() as payloads:
        wake("default", "[1]")
        the_sender()._rests_until = 0.0
        wake("default", "[2]")
    assert payloads == [[2]]
    assert "Redis answers again: waking workers." in caplog.text


def test_what_is_said_twice_while_it_waits_is_sent_once(
    redis: RedisServer, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Sender()
    for number in [1, 2, 1, 1, 2]:
        waiting.put(("default", f"[{number}]"))
    with heard() as payloads:
        monkeypatch.setattr(sender, "_sender", waiting)
        waiting.start()
    assert payloads == [[1], [2]]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_has_died_is_replaced(
    redis: RedisServer, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(wake_ups: Any) -> None:
        raise SystemExit

    wake("default", "[1]")
    dead = the_sender()
    monkeypatch.setattr(dead, "_send", die)
    wake("default", "[2]")
    dead.join(60)
    assert not dead.is_alive()
    with heard() as payloads:
        wake("default", "[3]")
    assert payloads == [[3]]


def test_a_child_process_sends_as_well(redis: RedisServer, heard: Heard) -> None:
    with heard() as payloads:
        wake("default", "[1]")
        the_sender().flush(NEVER)
        if (child := os.fork()) == 0:
            wake("default", "[2]")
            the_sender().flush(NEVER)
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        wake("default", "[3]")
    assert payloads == [[1], [2], [3]]


@pytest.mark.thorough_on_servers
def test_a_process_that_ends_sends_what_it_has_just_said(redis: RedisServer, heard: Heard) -> None:
    environ = {
        **os.environ,
        **processes.test_database(),
        "DJANGO_SETTINGS_MODULE": "tests.wakeup.settings_of_a_process",
        "WAKEUP": redis.address,
    }
    code = (
        "import django; django.setup(); from taskworks.wakeup import sender; "
        "sender.LAST_SECONDS = 60; from tests import tasks; tasks.noop.enqueue()"
    )
    with heard() as payloads:
        subprocess.run([sys.executable, "-c", code], cwd=processes.ROOT, env=environ, check=True)
    assert payloads == [["default", "default"]]


def test_the_database_says_which_channel_is_its() -> None:
    first = elsewhere(lambda: channel_of("default"))
    assert first.startswith("taskworks:")
    channel._known.clear()
    assert elsewhere(lambda: channel_of("default")) == first


IMPORTED_WHILE_IT_CONNECTS = """
import sys, django
django.setup()
from taskworks.wakeup.sender import Sender
sender = Sender()
client = sender._connected()
before = {*sys.modules}
client.publish("tests", "x")
print(*({*sys.modules} - before))
"""


def test_nothing_is_imported_while_it_connects(redis: RedisServer) -> None:
    """A process that is forked then could never more look up the address of a host."""
    settings = "tests.wakeup.settings_of_a_process"
    process = subprocess.run(
        [sys.executable, "-c", IMPORTED_WHILE_IT_CONNECTS],
        cwd=processes.ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": settings, "WAKEUP": redis.address},
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
        check=True,
    )
    assert process.stdout.split() == []
