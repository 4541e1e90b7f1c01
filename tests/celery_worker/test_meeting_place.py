"""How child processes find the worker, and what they do when they cannot tell it anything."""

import errno
import socket
import tempfile
from multiprocessing.connection import Client, Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from taskworks.celery_worker.meeting_place import MeetingPlace
from taskworks.celery_worker.prefork_child import take_turn
from taskworks.execution import Attempt
from taskworks.models import TaskRun
from taskworks.worker.pools.child import ChildMain
from taskworks.worker.pools.messages import AttemptOrdered
from tests.forks import exit_code_of

pytestmark = pytest.mark.any_database


class FailsFirst:
    """A socket with which accepting fails once."""

    def __init__(self, real: socket.socket) -> None:
        self._real, self.has_failed = real, False

    def accept(self) -> Any:
        if not self.has_failed:
            self.has_failed = True
            raise OSError(errno.EMFILE, "Too many open files")
        return self._real.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_one_that_could_not_be_let_in_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    served: SimpleQueue[Connection] = SimpleQueue()
    place = MeetingPlace(served.put)
    failing = place._socket = FailsFirst(place._socket)  # type: ignore[assignment]
    try:
        client = Client(place.address, family="AF_UNIX")
        with client, served.get(timeout=60) as connection:
            connection.send("hello")
            assert client.recv() == "hello"
    finally:
        place.close()
    assert failing.has_failed
    assert "could not be let in: OSError(24, 'Too many open files')" in caplog.text


def test_what_could_not_be_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("a" * 100)))
    Path(tempfile.tempdir or "").mkdir()
    with pytest.raises(OSError, match="path too long"):
        MeetingPlace(Connection.close)
    assert [*Path(tempfile.tempdir or "").iterdir()] == []


def test_a_child_that_cannot_tell_what_becomes_of_its_order_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its worker would wait for ever."""

    def fail(*arguments: Any) -> None:
        raise RuntimeError("It cannot be told.")

    def serve(connection: Connection) -> None:
        connection.recv()
        attempt = Attempt(TaskRun(backend="default"), "of a test")
        run, number = attempt.run, 1
        connection.send([AttemptOrdered(number, run, "of a test", 0.0, False, object)])
        stays.put(connection)

    stays: SimpleQueue[Connection] = SimpleQueue()  # open until the child has ended
    monkeypatch.setattr(ChildMain, "_tell", fail)
    place = MeetingPlace(serve)
    address = place.address
    try:
        assert exit_code_of(lambda: take_turn(address, 1) or 0) == 1
        assert stays.get(timeout=60)
    finally:
        place.close()
