"""The harness itself: the catalogue is complete, and the proxy does what it says."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults import table
from tests.faults.catalogue import CATALOGUE
from tests.faults.proxy import Proxy
from tests.faults.table import PAGE

pytestmark = pytest.mark.any_database

A_TEST = re.compile(r"@pytest\.mark\.fault\((\d+)\)")


def test_every_fault_has_a_test_or_a_reason_and_a_row() -> None:
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    tested = {int(number) for source in sources for number in A_TEST.findall(source)}
    assert tested == {number for number, fault in CATALOGUE.items() if fault.databases}
    for number, fault in CATALOGUE.items():
        assert fault.promise or fault.elsewhere
        assert fault.what in PAGE.read_text(), number


def test_make_faults_can_be_started_outside_of_a_test() -> None:
    environ = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
    command = [sys.executable, "-m", "tests.faults", "--help"]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_rows_of_faults_that_are_not_done_again_stay(tmp_path: Path) -> None:
    page, report = tmp_path / "page.md", tmp_path / "report"
    seen = "Seen on 2026-01-01, and 1, 48 on 2026-01-02: "
    page.write_text(re.sub(r"Seen on [^:]*: ", seen, PAGE.read_text()))
    before = page.read_text().splitlines()
    line = {"fault": 48, "database": "sqlite", "version": "3", "test": "a", "kept": True}
    report.write_text(json.dumps({**line, "seen": ["all was well"], "recovery": 2.0}) + "\n")
    table.write(report, "Python 3.", page)
    after = page.read_text().splitlines()
    changed = [new for new, old in zip(after, before, strict=True) if new != old]
    assert [row.split(" | ")[0] for row in changed if row.startswith("| ")] == ["| 48"]
    [row] = [row for row in changed if row.startswith("| ")]
    assert row.endswith("| all was well | not run | not run | 2.0 s |")
    [said] = [row for row in changed if not row.startswith("| ")]
    today = datetime.now(UTC).date()
    assert said == f"Seen on 2026-01-01, and 1 on 2026-01-02, and 48 on {today}: Python 3."


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that gives back what it is given."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:  # it is closed
                    return
                threading.Thread(target=give_back, args=[peer], daemon=True).start()

        def give_back(peer: socket.socket) -> None:
            with peer, suppress(ConnectionResetError):
                while data := peer.recv(100):
                    peer.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def said(client: socket.socket) -> bytes:
    client.sendall(b"hello")
    return client.recv(100)


def test_the_proxy_passes_delays_and_swallows(echo: tuple[str, int]) -> None:
    with Proxy(*echo) as proxy:
        client = socket.create_connection((proxy.address, proxy.port), timeout=60)
        assert said(client) == b"hello"
        proxy.delay = 0.1
        begun = time.monotonic()
        assert said(client) == b"hello"
        assert time.monotonic() - begun >= 0.2  # there and back
        proxy.delay = 0.0
        client.settimeout(0.5)
        with proxy.black_hole(), pytest.raises(TimeoutError):
            said(client)
        client.settimeout(60)
        assert client.recv(100) == b"hello"
        assert said(client) == b"hello"


@pytest.mark.parametrize("how", ["cut", "reset"])
def test_the_proxy_ends_connections(echo: tuple[str, int], how: str) -> None:
    with Proxy(*echo) as proxy:
        client = socket.create_connection((proxy.address, proxy.port), timeout=60)
        assert said(client) == b"hello"
        getattr(proxy, how)()
        if how == "cut":
            assert client.recv(100) == b""
        else:
            with pytest.raises(ConnectionResetError):
                client.recv(100)
        another = socket.create_connection((proxy.address, proxy.port), timeout=60)
        assert said(another) == b"hello"
