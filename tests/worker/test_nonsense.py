"""Whatever somebody has written into the row of a run: the worker goes on, and pages answer."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskworks import Task, TaskResult, task
from taskworks.exceptions import InvalidTask
from taskworks.models import Limit, Schedule, TaskRun
from taskworks.reserved_metadata import OF_SCHEDULE
from taskworks.schedules.firing import fire_now
from tests import limited, tasks
from tests.behavior import executed, rewrite, run_of, run_worker
from tests.effort import examples
from tests.worker import nonsense

pytestmark = pytest.mark.django_db(transaction=True)

JSON_COLUMNS = (
    "args",
    "kwargs",
    "options",
    "worker_ids",
    "errors",
    "messages",
    "metadata",
    "return_value",
)


def write(result: TaskResult, **columns: Any) -> None:
    """Write values into a row as they are, past Django."""
    names = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in columns)
    adapted = [
        connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
        for value in columns.values()
    ]
    run_id = TaskRun._meta.pk.get_db_prep_value(run_of(result).id, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {TaskRun._meta.db_table} SET {names} WHERE id = %s",
            [*adapted, run_id],
        )


def pages(result: TaskResult) -> list[str]:
    """What the admin and the command line show of a run."""
    client = Client()
    root = {"username": "root", "is_superuser": True, "is_staff": True}
    client.force_login(User.objects.get_or_create(**root)[0])
    answers = [
        client.get(f"/admin/taskworks/taskrun/{result.id}/change/"),
        client.get("/admin/taskworks/taskrun/"),
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    output = StringIO()
    for arguments in (["show", result.id], ["list"]):
        call_command("taskworks", *arguments, stdout=output)
        printed = StringIO()
        call_command("taskworks", *arguments, "--json", stdout=printed)
        json.loads(printed.getvalue())
    return [*(answer.content.decode() for answer in answers), output.getvalue()]


NONSENSE = {
    "args": ["", "{", "5", '{"a": 1}', "NaN", "[" * 100_000],
    "kwargs": ["", "[]", "null", "true", "[1]"],
    "options": ["", "[]", "7", '{"max_attempts": "many"}', '{"nothing": 1}', '{"backoff": [{}]}'],
    "worker_ids": ["", "{}", "[5]", "[null]", '"x"', '["\\u0000"]'],
    "errors": ["", "{}", "[5]", "[{}]", '"x"', '[{"traceback": 5}]'],
    "messages": ["", "{}", "[5]", "[{}]", '[{"at": "soon", "level": "info", "text": ""}]'],
    "metadata": ["", "[]", "5", '"x"', '{"a": "\\ud800"}', '{"a": NaN}'],
}


NO_SCHEDULES: list[Any] = [
    *("x", 5, None, [], {}, {"id": 1}, {"id": "x", "label": 5, "scheduled_for": {}}),
    {"id": 1, "label": "x", "scheduled_for": "soon", "is_followed": True},
]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        pytest.param(column, text, marks=[pytest.mark.thorough_on_servers] if place > 1 else [])
        for column, texts in NONSENSE.items()
        for place, text in enumerate(texts)
    ],
    ids=lambda given: f"{given:.20}",
)  # fmt: skip
def test_a_column_with_nonsense_fails_the_run_with_a_sentence(column: str, text: str) -> None:
    bad, good = nonsense.look_around.using(priority=1).enqueue(), tasks.noop.enqueue()
    write(bad, **{column: text})
    pages(bad)
    run_worker()
    run = run_of(bad)
    assert (run.state, run_of(good).state) == ("failed", "successful")
    [error] = run.errors
    said = error["traceback"].splitlines()[-1]
    assert column in said or "option" in said or "max_attempts" in said or "backoff" in said
    pages(bad)


@pytest.mark.thorough_on_servers
@pytest.mark.parametrize(
    ("made", "value"),
    [
        *((nonsense.TASKS[0], value) for value in NO_SCHEDULES),
        *((made, NO_SCHEDULES[-1]) for made in nonsense.TASKS[1:]),
    ],
)
def test_nonsense_under_a_reserved_key_of_metadata_is_no_schedule(made: Task, value: Any) -> None:
    bad = made.enqueue()
    rewrite(bad, metadata={OF_SCHEDULE: value, "correlation_id": value})
    good = tasks.noop.enqueue()
    run_worker()
    expected = {"snooze": "scheduled", "fail": "scheduled"}.get(made.name, "successful")
    assert (run_of(bad).state, run_of(good).state) == (expected, "successful")
    assert run_of(bad).metadata[OF_SCHEDULE] == value
    pages(bad)


class TestReservedKeys:
    def test_are_refused_by_using(self) -> None:
        with pytest.raises(InvalidTask, match=r"'taskworks\.schedule' of metadata is reserved"):
            tasks.noop.using(metadata={OF_SCHEDULE: "x"})

    def test_are_refused_by_the_decorator(self) -> None:
        with pytest.raises(InvalidTask, match=r"'taskworks\.mine' of metadata is reserved"):
            task(metadata={"taskworks.mine": 1})(tasks.noop.func)

    def test_do_not_keep_the_task_of_a_schedules_run_from_being_used_again(self) -> None:
        schedule = Schedule.objects.create(label="mine", path="tests.tasks.noop", cron="0 0 1 1 *")
        fired = fire_now(schedule).task
        assert fired.using(priority=3).priority == 3

    def test_cannot_be_set_by_a_task(self) -> None:
        result = executed(nonsense.pretend.enqueue())
        assert result.errors[0].exception_class_path == "builtins.ValueError"
        assert "is reserved" in result.errors[0].traceback
        assert result.metadata == {}


@pytest.mark.thorough_on_servers
@pytest.mark.parametrize("column", ["attempts", "failures", "crashes"])
@pytest.mark.parametrize("made", nonsense.TASKS, ids=lambda made: made.name)
def test_a_count_that_is_as_high_as_can_be_ends_no_worker(made: Task, column: str) -> None:
    bad = made.enqueue()
    write(bad, **{column: 32767 if column == "crashes" else 2**31 - 1})
    good = tasks.noop.enqueue()
    run_worker()
    assert run_of(bad).state not in ("ready", "claimed", "running")
    assert run_of(good).state == "successful"


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([OF_SCHEDULE, "correlation_id", "at", "text", "level", "backoff",
                         "max_attempts", "executor", "timeout", "traceback"]) | texts,
        inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
json_texts = texts | json_values.map(json.dumps)
moments = st.datetimes(datetime(1000, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC))
counts = st.integers(0, 32767)
LIMITED = ("limit_name", "lane")
# MySQL and MariaDB take the first two for "thread".
STRANGE_EXECUTORS = ("Thread", "thread ", "threads", "")
strange = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(JSON_COLUMNS, json_texts),
        "task_path": texts,
        "callable_path": texts,
        "owner": texts,
        **dict.fromkeys(("run_after", "expires_at", "started_at", "missing_since"), moments),
        **dict.fromkeys(("last_attempted_at", "finished_at", "cancel_requested_at"), moments),
        **dict.fromkeys(("attempts", "failures", "crashes"), counts),
        **dict.fromkeys(("target", "progress"), st.integers(-(2**63), 2**63 - 1)),
        **dict.fromkeys(LIMITED, texts),
        "executor": st.sampled_from(STRANGE_EXECUTORS),
    },
)


@contextmanager
def no_runs_left() -> Iterator[None]:
    try:
        yield
    finally:
        TaskRun.objects.all().delete()
        Limit.objects.all().delete()


def write_what_is_allowed(result: TaskResult, columns: dict[str, Any]) -> None:
    """The database refuses a limit without a lane, and a lane without a limit."""
    others = {name: columns[name] for name in columns if name not in LIMITED}
    if others:
        write(result, **others)
    if len(others) < len(columns):
        with suppress(IntegrityError):
            write(result, **{name: columns[name] for name in LIMITED if name in columns})


@pytest.mark.thorough_on_servers
@settings(
    max_examples=examples(60 if connection.vendor == "sqlite" else 20),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=os.environ.get("CI") == "true",
)
@given(made=st.sampled_from(nonsense.TASKS), columns=strange)
def test_no_row_ends_a_worker(made: Task, columns: dict[str, Any]) -> None:
    with no_runs_left():
        bad, good = made.using(priority=1).enqueue(), tasks.noop.enqueue()
        write_what_is_allowed(bad, columns)
        pages(bad)
        run_worker()
        run = run_of(bad)
        assert run_of(good).state == "successful"
        nobody_s = ("ready",) if "executor" in columns else ()
        assert run.state in ("successful", "failed", "cancelled", "scheduled", *nobody_s)
        if run.state == "failed":
            assert run.errors[-1]["traceback"]
        pages(bad)


@pytest.mark.parametrize("executor", STRANGE_EXECUTORS)
def test_no_executor_of_a_run_with_a_limit_ends_a_worker(executor: str) -> None:
    good, bad = limited.in_turn.enqueue("a"), limited.in_turn.enqueue("b")
    write(bad, executor=executor)
    run_worker()
    assert run_of(good).state == "successful"
    assert run_of(bad).state in ("successful", "ready")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have types of their own")
@pytest.mark.parametrize("value", ["x", ""])
def test_text_in_place_of_an_id_of_sqlite_ends_no_worker(value: str) -> None:
    bad, good = tasks.noop.enqueue_many([(), ()])
    write(bad, id=value)
    run_worker()
    assert run_of(good).state == "successful"


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others have types of their own")
@pytest.mark.parametrize("column", ["attempts", "failures", "crashes", "run_after", "enqueued_at",
                                    "expires_at", "missing_since", "available_at"])  # fmt: skip
@pytest.mark.parametrize("value", ["x", ""])
def test_text_in_any_column_of_sqlite_ends_no_worker(column: str, value: str) -> None:
    bad, good = tasks.noop.enqueue(), tasks.noop.enqueue()
    write(bad, **{column: value})
    run_worker()
    states = dict(TaskRun.objects.values_list("id", "state"))
    assert states[UUID(good.id)] == "successful"
    assert states[UUID(bad.id)] in ("successful", "failed")
