"""The example's database: a SQLite file, or the server that `EXAMPLE_DATABASE` names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# A worker and the web write to the file at the same time. WAL lets the readers go on meanwhile;
# IMMEDIATE makes writers queue up for the timeout, where a read lock raised to a write lock fails.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


def chosen_database(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    match environ.get("EXAMPLE_DATABASE", "sqlite"):
        case "sqlite":
            return sqlite(environ, directory)
        case "postgresql":
            return postgresql(environ)
        case "mysql":
            return mysql(environ)
        case other:
            raise ValueError(
                f"EXAMPLE_DATABASE is {other!r}: it can be 'sqlite', 'postgresql' or 'mysql'."
            )


def sqlite(environ: Mapping[str, str], directory: Path) -> dict[str, Any]:
    path = Path(environ.get("EXAMPLE_SQLITE_PATH") or directory / "example.sqlite3")
    path.parent.mkdir(parents=True, exist_ok=True)
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": SQLITE_OPTIONS}


def postgresql(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": environ.get("PGDATABASE", "taskworks_example"),
        "HOST": environ.get("PGHOST", ""),
        "PORT": environ.get("PGPORT", ""),
        "USER": environ.get("PGUSER", ""),
        "PASSWORD": environ.get("PGPASSWORD", ""),
    }


def mysql(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": environ.get("MYSQL_DATABASE", "taskworks_example"),
        "HOST": environ.get("MYSQL_HOST", "127.0.0.1"),
        "PORT": environ.get("MYSQL_PORT", ""),
        "USER": environ.get("MYSQL_USER", ""),
        "PASSWORD": environ.get("MYSQL_PASSWORD", ""),
    }
