"""The benchmark's own servers, one of which is stopped while the other goes on."""

import psycopg
import pytest

from benchmarks.own_postgresql import USER, OwnPostgreSQL, own_postgresql
from tests.faults.servers import program

pytestmark = [pytest.mark.any_database, pytest.mark.not_every_day]


def answer(server: OwnPostgreSQL, statement: str) -> list[tuple[object, ...]]:
    login = {"host": "127.0.0.1", "port": server.port, "user": USER, "dbname": "postgres"}
    with psycopg.connect(**login, autocommit=True) as connection:  # type: ignore[arg-type]
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_a_server_comes_back_with_what_it_had() -> None:
    program("initdb")  # or this is skipped
    with own_postgresql() as server:
        assert len(server.pids) > 1
        answer(server, "CREATE TABLE kept AS SELECT 42 AS number")
        server.crash()
        assert server.pids == []
        with pytest.raises(psycopg.OperationalError):
            answer(server, "SELECT 1")
        server.start()
        assert answer(server, "SELECT number FROM kept") == [(42,)]
        data = server._data
    assert not data.exists()
