"""A server that is told to stop does not wait for streams that end ten minutes later."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from taskworks.rest.events.hub import hub
from taskworks.rest.events.shutdown import call_at_shutdown
from tests.ports import free_port
from tests.processes.conftest import ROOT
from tests.processes.conftest import test_database as database_of_the_test
from tests.rest import address
from tests.rest.browsers import browsing
from tests.rest.servers import Served
from tests.waiting import wait_for

pytestmark = pytest.mark.thorough_on_servers


class Uvicorn(Served):
    """A process of its own, in whose main thread the event loop is."""

    def __init__(self) -> None:
        super().__init__(free_port())
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "uvicorn", "tests.rest.asgi:application"),
                *("--port", str(self.port), "--log-level", "critical"),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                **database_of_the_test(),
                "DJANGO_SETTINGS_MODULE": "tests.rest.served",
            },
        )

    def is_up(self) -> bool:
        assert self.process.poll() is None
        try:
            self.ask("/").close()
        except ConnectionRefusedError:
            return False
        return True


@pytest.fixture
def uvicorn(_api: None) -> Iterator[Uvicorn]:
    server = Uvicorn()
    try:
        wait_for(server.is_up, "it is up")
        yield server
    finally:
        server.hang_up()
        server.process.kill()
        server.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.not_every_day
def test_uvicorn_ends_with_its_streams(uvicorn: Uvicorn, start: Any, number: int) -> None:
    client = uvicorn.ask(address(start("told"), "events"), X_User="ann")
    client.read_until(b"event: status")
    uvicorn.process.send_signal(number)
    # The end of the stream, not of the connection.
    assert client.read_to_the_end().endswith(b"0\r\n\r\n")
    uvicorn.process.wait(60)


def test_no_stream_begins_in_a_process_that_is_to_stop(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "is_ending", True)
    with browsing() as browser:
        reading = browser.open(address(start("told"), "events"))
        assert [name for name, _ in reading.wait_for_the_end()] == ["status"]


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN])
def test_a_signal_that_python_does_not_handle_is_left_alone(handler: Any) -> None:
    async def listen() -> None:
        call_at_shutdown(lambda: None)

    signal.signal(signal.SIGTERM, handler)
    asyncio.run(listen())
    assert signal.getsignal(signal.SIGTERM) is handler


def test_each_signal_is_handled_once_by_us_and_then_by_the_server() -> None:
    heard: list[Any] = []

    async def listen_twice_and_stop() -> None:
        for _ in range(2):
            call_at_shutdown(lambda: heard.append("us"))
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0)

    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    asyncio.run(listen_twice_and_stop())
    assert heard == [signal.SIGTERM, "us"]
