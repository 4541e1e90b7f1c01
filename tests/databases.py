"""The databases that the suite runs on, and where their servers are."""

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

NAMES = ("sqlite", "postgresql", "mariadb", "mysql")
HERE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]  # machines may share a server
# Of this run of the suite alone, so that two at once do not share a database. The processes that
# the tests start inherit it.
PREFIX = os.environ.setdefault("TASKWORKS_TEST_PREFIX", f"test_taskworks_{HERE}_{os.getpid()}")


def database(name: str, files: Path, suffix: str = "") -> dict[str, Any]:
    """The entry of DATABASES for one of NAMES; another one with another suffix."""
    if name == "sqlite":
        return _sqlite(files / f"{PREFIX}{suffix}.sqlite3")
    return {**_server(name), "TEST": {"NAME": f"{PREFIX}_{name}{suffix}"}}


def _sqlite(file: Path) -> dict[str, Any]:
    # A file, not memory: workers are other threads and other processes.
    path = str(file)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "TEST": {"NAME": path},
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            # A project has NORMAL; without it, only a crash of the machine would lose anything.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
    }


def _server(name: str) -> dict[str, Any]:
    prefix = "PG" if name == "postgresql" else name.upper() + "_"
    engine, port, user = {
        "postgresql": ("postgresql", "5432", "postgres"),
        "mariadb": ("mysql", "3306", "root"),
        "mysql": ("mysql", "3307", "root"),
    }[name]
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": os.environ.get(f"{prefix}DATABASE", "test"),
        "HOST": os.environ.get(f"{prefix}HOST", "127.0.0.1"),
        "PORT": os.environ.get(f"{prefix}PORT", port),
        "USER": os.environ.get(f"{prefix}USER", user),
        "PASSWORD": os.environ.get(f"{prefix}PASSWORD", ""),
    }
