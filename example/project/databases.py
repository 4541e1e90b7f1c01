"""The example's database: a SQLite file, or the server that `EXAMPLE_DATABASE` names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The worker and the web server write to the file at the same time. With WAL, reads do not wait for
# writes. With IMMEDIATE, a transaction waits for the write lock, up to the timeout; without it, a
# transaction that reads first and then writes may fail at once.
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
                f"EXAMPLE_DATABASE must be 'sqlite', 'postgresql' or 'mysql', not {other!r}."
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
