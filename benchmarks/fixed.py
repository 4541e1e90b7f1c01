"""
The statements of ``bare``: those that Taskworks sent at commit 094db0b, as it used the driver then.

They stay as they are, however the store changes, so that the ratios to them can be compared from
one release to the next. A change of the table that they cannot be sent to any more is the only
reason to touch them.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from benchmarks.bare import BATCH, WORKER, Statement, Verb

ROWS_PER_STATEMENT = 2000
TASK = "benchmarks.project.taskworks_noops.noop"
READ = [
    "id",
    "backend",
    "queue_name",
    "task_path",
    "args",
    "kwargs",
    "owner",
    "rank",
    "run_after",
    "executor",
    "options",
    "expires_at",
    "at_most_once",
    "enqueued_at",
    "available_at",
    "claimed_at",
    "attempts",
    "failures",
    "crashes",
    "worker_ids",
    "started_at",
    "last_attempted_at",
    "missing_since",
    "errors",
    "messages",
    "metadata",
]
OWN = ["id", "args", "kwargs"]
# In which all new runs are equal, in the order of the columns.
CONSTANTS = {
    "backend": "default",
    "queue_name": "default",
    "task_path": TASK,
    "rank": 0,
    "executor": "thread",
    "options": "{}",
    "at_most_once": False,
    "state": "ready",
}
BEGINNING = {
    "attempts": 0,
    "failures": 0,
    "crashes": 0,
    "worker_ids": "[]",
    "errors": "[]",
    "messages": "[]",
    "metadata": "{}",
}
FINISHED = {
    "state": "successful",
    "attempts": 1,
    "worker_ids": '["bench-1234-0123abcd"]',
    "missing_since": None,
    "failures": 0,
    "errors": "[]",
}
Text = tuple[str, Any]  # of a statement, and its parameters
NEW = ["id", "started_at", "last_attempted_at", "finished_at", "return_value"]


def verbs() -> tuple[Verb, Verb]:
    """Return the statements that claim, and that finish, 100 runs."""
    ids, token = [uuid4() for _ in range(BATCH)], uuid4()
    kind = _kind()
    claim, finish = CLAIMS[kind](ids, token), FINISHES[kind](ids, token)
    return Verb(claim, ids), Verb(finish, ids)


def insertion(size: int) -> Verb:
    """Return the INSERTs of ``size`` runs."""
    from taskworks.models.run import new_run_id

    ids = [new_run_id() for _ in range(size)]
    kind = _kind()
    if kind == "postgresql" and size == 1:
        return Verb([insert_one_into_postgresql(ids[0])], ids)
    chunks = [ids[n : n + ROWS_PER_STATEMENT] for n in range(0, size, ROWS_PER_STATEMENT)]
    texts = [INSERTS[kind](chunk) for chunk in chunks]
    return Verb([Statement(*text, is_atomic=len(texts) > 1) for text in texts], ids)


def _kind() -> str:
    from django.db import connection

    return connection.vendor


# PostgreSQL.


def insert_one_into_postgresql(run_id: UUID) -> Statement:
    """Return the INSERT of one run, which reads the clock itself."""
    new = {"id": str(run_id), "args": '[0,"hello-world"]', "kwargs": "{}"}
    new |= _typed(CONSTANTS) | _typed(BEGINNING)
    clock = "(STATEMENT_TIMESTAMP() + %s * INTERVAL '1 microsecond')"
    text = f"""
            INSERT INTO "taskworks_taskrun" ({", ".join(new)}, enqueued_at, available_at)
            VALUES ({", ".join(["%s"] * len(new))}, {clock}, {clock})
            RETURNING enqueued_at"""
    return Statement(text, [*new.values(), 0, 0], is_atomic=False)


def _insert_into_postgresql(ids: Sequence[UUID]) -> Text:
    now = _now().isoformat()
    common = _typed(CONSTANTS) | {"enqueued_at": now, "available_at": now} | _typed(BEGINNING)
    types = {
        "backend": "varchar(64)",
        "queue_name": "varchar(128)",
        "task_path": "varchar(512)",
        "rank": "smallint",
        "executor": "varchar(7)",
        "at_most_once": "boolean",
        "state": "varchar(10)",
        "enqueued_at": "timestamp with time zone",
        "available_at": "timestamp with time zone",
        "attempts": "integer",
        "failures": "integer",
        "crashes": "smallint",
    }
    constants = ", ".join(f"%s::{types.get(name, 'text')}" for name in common)
    text = f"""
            INSERT INTO "taskworks_taskrun" ({", ".join([*OWN, *common])})
            SELECT new.*, {constants}
            FROM JSON_TO_RECORDSET(%s::json) AS new (id uuid, args text, kwargs text)"""
    rows = [dict(zip(OWN, row, strict=True)) for row in _own(ids, str)]
    return text, [*common.values(), json.dumps(rows)]


def _claim_on_postgresql(ids: Sequence[UUID], token: UUID) -> list[Statement]:
    moments = {"run_after", "expires_at", "enqueued_at", "available_at", "claimed_at"}
    moments |= {"started_at", "last_attempted_at", "missing_since"}
    columns = ", ".join(
        f"(EXTRACT(EPOCH FROM run.{name}) * 1000000)::bigint"
        if name in moments
        else f'run."{name}"'
        for name in READ
    )
    text = f"""
            WITH head AS MATERIALIZED (
                SELECT tid FROM (
                    SELECT ready.*, line.room, ROW_NUMBER() OVER (
                        PARTITION BY line.executor
                        ORDER BY ready.rank, ready.available_at, ready.id
                    ) AS place
                    FROM UNNEST(
                        %(queues)s::text[], %(executors)s::text[], %(rooms)s::int[],
                        %(ranks)s::smallint[], %(moments)s::timestamptz[], %(ids)s::uuid[]
                    ) AS line (queue_name, executor, room, rank, available_at, id)
                    CROSS JOIN LATERAL (
                        SELECT ctid AS tid, rank, available_at, id FROM "taskworks_taskrun"
                        WHERE state = 'ready' AND backend = %(backend)s
                            AND queue_name = line.queue_name AND executor = line.executor
                            AND (rank, available_at, id) >= (line.rank, line.available_at, line.id)
                        ORDER BY rank, available_at, id LIMIT line.room
                        FOR UPDATE SKIP LOCKED
                    ) AS ready
                ) AS first
                WHERE place <= room
                ORDER BY rank, available_at, id LIMIT %(limit)s
            )
            UPDATE "taskworks_taskrun" AS run
            SET state = 'claimed', claimed_by = %(worker)s, claim_token = %(token)s,
                claimed_at = STATEMENT_TIMESTAMP() + %(moved)s * INTERVAL '1 microsecond'
            FROM head
            WHERE run.ctid = head.tid AND EXISTS (
                SELECT 1 FROM "taskworks_worker" WHERE id = %(worker)s AND given_up_at IS NULL
            )
            RETURNING {columns}"""
    values = {
        "worker": WORKER,
        "token": token,
        "moved": 0,
        "backend": "default",
        "queues": ["default"],
        "executors": ["thread"],
        "rooms": [len(ids)],
        "ranks": [-(2**15)],
        "moments": ["-infinity"],
        "ids": [UUID(int=0)],
        "limit": len(ids),
    }
    return [Statement(text, values, is_atomic=False)]


def _finish_on_postgresql(ids: Sequence[UUID], token: UUID) -> list[Statement]:
    text = f"""
            UPDATE "taskworks_taskrun" AS run SET {_assignments()}
            FROM (SELECT SET_CONFIG('lock_timeout', '1000ms', TRUE)) AS patience, \
JSON_TO_RECORDSET(%s::json) AS new (id uuid, started_at timestamp with time zone, \
last_attempted_at timestamp with time zone, finished_at timestamp with time zone, return_value text)
            WHERE run.id = new.id AND run.claim_token = %s AND run.state || '' IN \
('claimed', 'running')
            RETURNING run.id"""
    rows = [dict(zip(NEW, row, strict=True)) for row in _new(ids, str, datetime.isoformat)]
    values = [*_typed(FINISHED).values(), json.dumps(rows), str(token)]
    return [Statement(text, values, is_atomic=False)]


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """Return the integers as Django gives them to psycopg."""
    from django.db import connection

    of_small, of_others = "SmallIntegerField", "IntegerField"
    types = {"rank": of_small, "crashes": of_small, "attempts": of_others, "failures": of_others}
    adapt = connection.ops.adapt_integerfield_value
    return {
        name: adapt(value, types[name]) if name in types else value
        for name, value in values.items()
    }


# MariaDB and MySQL.


def _insert_into_mysql(ids: Sequence[UUID]) -> Text:
    common = _common()
    row = f"({', '.join(['%s'] * (len(OWN) + len(common)))})"
    text = f"""
            INSERT INTO `taskworks_taskrun` ({_in_backticks([*OWN, *common])})
            VALUES {", ".join([row] * len(ids))}"""
    rows = _own(ids, _for_mysql)
    return text, [value for own in rows for value in (*own, *common.values())]


def _claim_on_mysql(ids: Sequence[UUID], token: UUID) -> list[Statement]:
    table, worker = "`taskworks_taskrun`", _for_mysql(WORKER)
    texts: list[Text] = [
        (
            f"""
            SELECT {_in_backticks(READ)} FROM {table}
            WHERE state = 'ready' AND backend = %s AND queue_name = %s AND executor = %s
            ORDER BY `rank`, available_at, id LIMIT %s
            FOR UPDATE SKIP LOCKED""",
            ["default", "default", "thread", len(ids)],
        ),
        ("SELECT (UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)", (0,)),
        (
            "SELECT %s AS `a` FROM `taskworks_worker` WHERE (`taskworks_worker`.`given_up_at` IS "
            "NULL AND `taskworks_worker`.`id` = %s) LIMIT 1",
            (1, worker),
        ),
        (
            f"UPDATE {table} SET `state` = %s, `claimed_by` = %s, `claim_token` = %s, "
            f"`claimed_at` = %s WHERE {table}.`id` IN ({', '.join(['%s'] * len(ids))})",
            ("claimed", worker, _for_mysql(token), _moment(_now()), *map(_for_mysql, ids)),
        ),
    ]
    return _together(_limited(texts, "idle_transaction_timeout", 10))


def _finish_on_mysql(ids: Sequence[UUID], token: UUID) -> list[Statement]:
    row = "SELECT " + ", ".join(f"%s AS {name}" for name in NEW)
    new = f"({' UNION ALL '.join([row] * len(ids))}) AS new"
    condition = "run.claim_token = %s AND run.state IN ('claimed', 'running')"
    values = [value for row in _new(ids, _for_mysql, _moment) for value in row]
    texts: list[Text] = [
        (
            f"""
                SELECT run.id FROM `taskworks_taskrun` AS run
                JOIN {new} ON run.id = new.id
                WHERE {condition} ORDER BY run.id FOR UPDATE""",
            [*values, _for_mysql(token)],
        ),
        (
            f"""
                    UPDATE `taskworks_taskrun` AS run JOIN {new} ON run.id = new.id
                    SET {_assignments("run.")}
                    WHERE {condition}""",
            [*values, *FINISHED.values(), _for_mysql(token)],
        ),
    ]
    inner = _limited(texts, "idle_transaction_timeout", 10)
    return _together(_limited(inner, "innodb_lock_wait_timeout", 1))


def _limited(texts: list[Text], name: str, seconds: int) -> list[Text]:
    """Return the statements between those that limit a session of MariaDB, and lift the limit."""
    from django.db import connection

    if not connection.mysql_is_mariadb and name == "idle_transaction_timeout":
        return texts
    keep = f"SET @taskworks_{name} = @@SESSION.{name}, SESSION {name} = {seconds}"
    return [(keep, ()), *texts, (f"SET SESSION {name} = @taskworks_{name}", ())]


def _together(texts: list[Text]) -> list[Statement]:
    return [Statement(*text, is_atomic=True) for text in texts]


def _for_mysql(run_id: UUID) -> UUID | str:
    from django.db import connection

    return run_id if connection.features.has_native_uuid_field else run_id.hex


def _in_backticks(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# SQLite.


def _insert_into_sqlite(ids: Sequence[UUID]) -> Text:
    common = _common()
    text = f"""
            INSERT INTO "taskworks_taskrun" ({", ".join([*OWN, *common])})
            WITH new ({", ".join(OWN)}) AS (VALUES {", ".join(["(%s, %s, %s)"] * len(ids))})
            SELECT new.*, {", ".join(["%s"] * len(common))} FROM new"""
    return text, [*(value for own in _own(ids, _hex) for value in own), *common.values()]


def _claim_on_sqlite(ids: Sequence[UUID], token: UUID) -> list[Statement]:
    text = f"""
            WITH line (queue_name, executor, room) AS (
                VALUES (%s, %s, %s)
            )
            UPDATE "taskworks_taskrun"
            SET state = 'claimed', claimed_by = %s, claim_token = %s, claimed_at = %s
            WHERE id IN (
                SELECT id FROM (
                    SELECT head.id, head.rank, head.available_at, line.room, ROW_NUMBER() OVER (
                        PARTITION BY line.executor ORDER BY head.rank, head.available_at, head.id
                    ) AS place
                    FROM line CROSS JOIN "taskworks_taskrun" AS head
                    WHERE head.id IN (
                        SELECT id FROM "taskworks_taskrun"
                        WHERE state = 'ready' AND backend = %s
                            AND queue_name = line.queue_name AND executor = line.executor
                        ORDER BY rank, available_at, id LIMIT %s
                    )
                )
                WHERE place <= room
                ORDER BY rank, available_at, id LIMIT %s
            ) AND EXISTS (SELECT 1 FROM "taskworks_worker" WHERE id = %s AND given_up_at IS NULL)
            RETURNING {", ".join(f'"{name}"' for name in READ)}"""
    size, worker = len(ids), WORKER.hex
    values = ["default", "thread", size, worker, token.hex, _moment(_now()), "default", size, size]
    return [Statement(text, [*values, worker], is_atomic=False)]


def _finish_on_sqlite(ids: Sequence[UUID], token: UUID) -> list[Statement]:
    row = f"({', '.join(['%s'] * len(NEW))})"
    text = f"""
            WITH new ({", ".join(NEW)}) AS (VALUES {", ".join([row] * len(ids))})
            UPDATE "taskworks_taskrun" AS run SET {_assignments()}
            FROM new
            WHERE run.id = new.id AND run.claim_token = %s AND run.state IN ('claimed', 'running')
            RETURNING id"""
    new = [value for row in _new(ids, _hex, _moment) for value in row]
    return [Statement(text, [*new, *FINISHED.values(), token.hex], is_atomic=False)]


def _hex(run_id: UUID) -> str:
    return run_id.hex


# On all of them.


def _own(ids: Sequence[UUID], form: Callable[[UUID], Any]) -> list[tuple[Any, str, str]]:
    """Return the values of OWN of each run."""
    return [(form(one), f'[{number},"hello-world"]', "{}") for number, one in enumerate(ids)]


def _common() -> dict[str, Any]:
    """Return the values that new runs share on MariaDB, MySQL and SQLite."""
    now = _moment(_now())
    return {**CONSTANTS, "enqueued_at": now, "available_at": now, **BEGINNING}


def _new(
    ids: Sequence[UUID], form: Callable[[UUID], Any], form_moment: Callable[[datetime], str]
) -> list[tuple[Any, ...]]:
    """Return the values of NEW of each finished run, whose times differ."""
    begin, rows = _now(), []
    for number, run_id in enumerate(ids):
        started = begin + timedelta(microseconds=50 * number)
        finished = form_moment(started + timedelta(microseconds=40))
        rows.append(
            (form(run_id), form_moment(started), form_moment(started), finished, str(number))
        )
    return rows


def _assignments(table: str = "") -> str:
    """Return what follows SET in the finish."""
    shared = [f"{table}{name} = %s" for name in FINISHED]
    return ", ".join([*shared, *(f"{table}{name} = new.{name}" for name in NEW if name != "id")])


def _now() -> datetime:
    return datetime.now(UTC)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"


INSERTS = {
    "postgresql": _insert_into_postgresql,
    "mysql": _insert_into_mysql,
    "sqlite": _insert_into_sqlite,
}
CLAIMS = {
    "postgresql": _claim_on_postgresql,
    "mysql": _claim_on_mysql,
    "sqlite": _claim_on_sqlite,
}
FINISHES = {
    "postgresql": _finish_on_postgresql,
    "mysql": _finish_on_mysql,
    "sqlite": _finish_on_sqlite,
}
