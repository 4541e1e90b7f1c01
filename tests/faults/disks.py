"""
A disk that is full, and only for the tables: without room for its logs a server would end, and that
is another fault.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from django.core.management import call_command
from django.db import Error as DatabaseError
from django.db import connection

from tests.faults.absent import refuse
from tests.faults.servers import PrivateServer, private_server, reconnect
from tests.settings import DATABASE

MEGABYTES = 48


class Disk(Protocol):
    def fill(self) -> None:
        """To the last page."""

    def free(self) -> None:
        """Give back what filled it."""


class SmallDisk:
    """A mounted file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(4096))
            except OSError:  # no space is left
                return

    def free(self) -> None:
        (self.folder / "ballast").unlink()


class SmallTablespace:
    """
    InnoDB's own tablespace with a bound, which takes a restart to raise. On a full file system, and
    when it is to delete without room, MariaDB 10.11 ends itself: its purge fails an assertion.
    """

    def __init__(self, server: PrivateServer) -> None:
        self._server = server

    @staticmethod
    def options(megabytes: int) -> tuple[str, ...]:
        bound = f"--innodb-data-file-path=ibdata1:12M:autoextend:max:{megabytes}M"
        return "--innodb-file-per-table=0", bound

    def fill(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE ballast (text MEDIUMTEXT)")
            with suppress(DatabaseError):  # the table is full
                while True:
                    cursor.execute("INSERT INTO ballast VALUES (REPEAT('x', 300000))")

    def free(self) -> None:
        self._server.crash()
        self._server.options = self.options(10 * MEGABYTES)
        self._server.start()
        reconnect()


@contextmanager
def small_disk() -> Iterator[Disk]:
    """While this lasts, the database's tables are on it."""
    if DATABASE == "mariadb":
        with private_server(*SmallTablespace.options(MEGABYTES)) as server:
            yield SmallTablespace(server)
    else:
        with _mounted() as disk, _tables_on(disk):
            yield disk


@contextmanager
def _mounted() -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        refuse("Only root may mount a small file system for the tables.")
    folder = Path(tempfile.mkdtemp(prefix="taskworks-disk-"))
    size = f"size={MEGABYTES}m,mode=777"
    mounting = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        refuse(f"A small file system cannot be mounted: {mounted.stderr}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@contextmanager
def _tables_on(disk: SmallDisk) -> Iterator[None]:
    if DATABASE == "sqlite":
        with _file_on(disk):
            yield
    else:
        with private_server() as server:
            _move_tables(disk, server)
            yield


@contextmanager
def _file_on(disk: SmallDisk) -> Iterator[None]:
    """SQLite's file, as the alias "default"."""
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = str(disk.folder / Path(usual).name)
    try:
        call_command("migrate", verbosity=0, database="default")
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual


def _move_tables(disk: SmallDisk, server: PrivateServer) -> None:
    place = disk.folder / "tables"
    place.mkdir(mode=0o700)
    shutil.chown(place, server.user, server.user)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLESPACE small LOCATION %s", [str(place)])
        for table in connection.introspection.table_names():
            cursor.execute(f"ALTER TABLE {table} SET TABLESPACE small")
