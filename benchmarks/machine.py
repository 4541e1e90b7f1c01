"""Facts about the machine and the servers, without which the figures mean little."""

import os
import platform
import sqlite3
import subprocess
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import databases
from benchmarks.client import NotMeasuredError
from benchmarks.place import Place
from benchmarks.processes import ROOT

QUERIES = {
    "postgresql": (
        "SELECT name, setting || COALESCE(' x ' || unit, '') FROM pg_settings WHERE name IN "
        "('server_version', 'fsync', 'synchronous_commit', 'shared_buffers', 'autovacuum', "
        "'wal_sync_method')"
    ),
    "mariadb": (
        "SHOW VARIABLES WHERE variable_name IN ('version', 'innodb_flush_log_at_trx_commit', "
        "'innodb_buffer_pool_size', 'log_bin')"
    ),
}


def facts() -> dict[str, Any]:
    """Return facts about the machine and the commit."""
    return {
        "began": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _commit(),
        "machine": f"{os.cpu_count()} processors ({_processor()}), {_memory()} of memory, "
        f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": load(),
    }


def load() -> str:
    """Return the load average of the last minute, which includes the benchmark."""
    return f"{os.getloadavg()[0]:.1f}"


def server(store: str) -> str:
    """Return a server's version, and the settings that affect durability and speed."""
    with suppress(NotMeasuredError):
        match store:
            case "postgresql" | "mariadb":
                return _settings_of(store)
            case "sqlite":
                return (
                    f"{sqlite3.sqlite_version}; WAL, synchronous NORMAL, IMMEDIATE, for everybody"
                )
            case "redis":
                return databases.describe_redis()
    return ""


def _settings_of(store: str) -> str:
    place = Place(system="", store=store, files="")
    with closing(databases.connect(place, inside=False)) as connection:
        cursor = connection.cursor()
        cursor.execute(QUERIES[store])
        return ", ".join(f"{name} {value}" for name, value in cursor.fetchall())


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    with suppress(OSError):
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
    return ""


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 2**30:.0f} GiB"
