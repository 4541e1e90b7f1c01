"""PgBouncer in transaction mode, in front of the database of the tests."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from tests.faults.servers import as_user, program
from tests.ports import free_port
from tests.waiting import wait_for

USER = "postgres"  # of the system: PgBouncer refuses to be root's


@dataclass(frozen=True)
class Pooler:
    port: int
    sessions: int  # of the server, which all clients share


@contextmanager
def pooler(sessions: int = 4) -> Iterator[Pooler]:
    folder = Path(tempfile.mkdtemp(prefix="taskworks-pooler-"))
    port = free_port()
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(_configuration(folder, port, sessions))
    if os.geteuid() == 0:
        for path in (folder, configuration):
            shutil.chown(path, USER, USER)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            as_user(USER, [program("pgbouncer"), str(configuration)]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _answers(port, process), f"the pooler on port {port} answers", 30)
        yield Pooler(port, sessions)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _configuration(folder: Path, port: int, sessions: int) -> str:
    keys = ("HOST", "PORT", "USER", "PASSWORD")
    server = [f"{key.lower()}={connection.settings_dict[key]}" for key in keys]
    given = [pair for pair in server if not pair.endswith("=")]
    return f"""
[databases]
* = {" ".join(given)}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
pidfile = {folder / "pid"}
"""


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "PgBouncer has ended"
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
