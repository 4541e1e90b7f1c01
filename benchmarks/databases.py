"""The databases that the benchmark creates and drops: one or two per system."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.client import NotMeasuredError
from benchmarks.place import Place
from tests.databases import database

SERVERS = ("postgresql", "mariadb")
REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379")
QUEUES, RESULTS = 14, 15  # of Redis's sixteen databases
RABBITMQ = os.environ.get("BENCH_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//")


def settings(place: Place) -> dict[str, Any]:
    """The entry of Django's DATABASES; with a broker, a file of SQLite that stays empty."""
    kind = place.store if place.store in SERVERS else "sqlite"
    entry = database(kind, Path(place.files))
    name = str(_file(place)) if kind == "sqlite" else place.database
    persistent = {"CONN_MAX_AGE": None} if place.store in SERVERS else {}
    return {**entry, **persistent, "NAME": name}


def create(place: Place) -> None:
    """Create the database again; raise NotMeasuredError if the server is not available."""
    if place.store in SERVERS:
        drop(place)
        name = _quoted(place)
        options = " CHARACTER SET utf8mb4" if place.store == "mariadb" else ""
        _execute(place, f"CREATE DATABASE {name}{options}")
    elif place.store in ("redis", "rabbitmq"):
        _take_redis()


def create_on(port: str, place: Place) -> None:
    """Create the database on another server of PostgreSQL as well."""
    import psycopg

    entry = settings(place)
    with psycopg.connect(
        host=entry["HOST"], port=port, user=entry["USER"], dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {_quoted(place)}")


def drop(place: Place) -> None:
    """Drop the database, even if there are connections."""
    match place.store:
        case "postgresql":
            _execute(place, f"DROP DATABASE IF EXISTS {_quoted(place)} WITH (FORCE)")
        case "mariadb":
            _execute(place, f"DROP DATABASE IF EXISTS {_quoted(place)}")
        case "sqlite":
            for path in _file(place).parent.glob(f"{_file(place).name}*"):
                path.unlink()
        case _:
            flush_redis()


def settle(place: Place) -> None:
    """Update the statistics, and write back SQLite's WAL, as would happen later anyway."""
    match place.store:
        case "postgresql":
            _execute(place, "VACUUM (ANALYZE)", inside=True)
        case "mariadb":
            tables = _execute(place, "SHOW TABLES", inside=True)
            for (table,) in tables:
                _execute(place, f"ANALYZE TABLE `{table}`", inside=True)
        case "sqlite":
            _execute(place, "PRAGMA wal_checkpoint(TRUNCATE)", inside=True)


def connect(place: Place, *, inside: bool = True) -> Any:
    """Return an autocommit connection of the driver; if not ``inside``, to no system's database."""
    entry = settings(place)
    where = {"host": entry.get("HOST"), "port": int(entry.get("PORT") or 0)}
    try:
        match place.store:
            case "postgresql":
                import psycopg

                name = entry["NAME"] if inside else "postgres"
                login = {"user": entry["USER"], "password": entry["PASSWORD"] or None}
                return psycopg.connect(**where, **login, dbname=name, autocommit=True)
            case "mariadb":
                import MySQLdb

                name = {"database": entry["NAME"]} if inside else {}
                login = {"user": entry["USER"], "password": entry["PASSWORD"]}
                return MySQLdb.connect(**where, **login, **name, autocommit=True)
            case _:
                import sqlite3

                return sqlite3.connect(entry["NAME"], isolation_level=None)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise NotMeasuredError(f"cannot connect to {place.store}: {reason}") from error


def flush_redis() -> None:
    """Empty the benchmark's two databases of Redis."""
    for client in _redis():
        client.flushdb()


def results() -> int:
    """Return how many results are in Redis; each has one key."""
    return _redis()[1].dbsize()


def lengths_of_lists(*patterns: str) -> int:
    """Return how many elements are in the lists of Redis whose keys match."""
    queues = _redis()[0]
    keys = [key for pattern in patterns for key in queues.keys(pattern)]
    return sum(queues.llen(key) for key in keys)


def describe_redis() -> str:
    """Return the version of Redis, and whether it persists anything."""
    client = _redis()[0]
    keeps = {name: client.config_get(name)[name] for name in ("appendonly", "save")}
    return f"{client.info('server')['redis_version']}; " + ", ".join(
        f"{name} {value or 'nothing'}" for name, value in keeps.items()
    )


def _take_redis() -> None:
    for client in _redis():
        keys = client.dbsize()
        number = client.connection_pool.connection_kwargs["db"]
        if keys:
            raise NotMeasuredError(
                f"database {number} of {REDIS} has {keys} keys: empty it, or name another server "
                "in BENCH_REDIS."
            )


@cache
def _redis() -> list[Any]:
    try:
        import redis
    except ImportError as error:
        raise NotMeasuredError(f"the package redis is not installed: {error}") from None
    clients = [redis.Redis.from_url(f"{REDIS}/{number}") for number in (QUEUES, RESULTS)]
    try:
        clients[0].ping()
    except redis.RedisError as error:
        raise NotMeasuredError(f"cannot connect to {REDIS}: {error}") from None
    return clients


def _execute(place: Place, statement: str, *, inside: bool = False) -> list[Any]:
    connection = connect(place, inside=inside)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def _quoted(place: Place) -> str:
    return f'"{place.database}"' if place.store == "postgresql" else f"`{place.database}`"


def _file(place: Place) -> Path:
    return Path(place.files) / f"{place.database}.sqlite3"
