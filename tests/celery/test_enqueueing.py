"""``delay``, ``apply_async`` and their options; typed arguments; results."""

import json
import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import connections, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from taskworks.celery import AsyncResult, NotCarried, shared_task, states
from taskworks.celery.not_carried import PAGE
from taskworks.celery.values import decoded, encoded
from taskworks.exceptions import InvalidTask
from taskworks.models import RunState, TaskRun
from tests.behavior import run_worker
from tests.celery import tasks
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def run_of(result: AsyncResult[Any]) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def test_delay_is_a_run() -> None:
    result = tasks.add.delay(2, b=3)
    assert (result.state, result.ready(), result.result) == (states.PENDING, False, None)
    assert run_of(result).task_path == "tests.celery.tasks.add"
    run_worker()
    assert (result.state, result.get(), result.successful()) == (states.SUCCESS, 5, True)
    again = AsyncResult(result.id)
    assert (again, again.get(timeout=1), again.name) == (result, 5, "tests.celery.tasks.add")
    assert (str(again), again.args, again.kwargs) == (result.id, [2], {"b": 3})
    assert again.date_done is not None


def test_an_app_has_tasks() -> None:
    result = tasks.double.apply_async((4,))
    run_worker()
    assert tasks.app.AsyncResult(result.id).get() == 8
    assert tasks.double.AsyncResult(result.id).get() == 8


def test_a_call_is_a_call() -> None:
    assert tasks.add(1, 2) == 3
    assert tasks.add.run(1, 2) == 3
    assert tasks.about(1)["called_directly"]
    assert not TaskRun.objects.exists()


def test_a_task_looks_like_its_function() -> None:
    assert tasks.add.__name__ == "add"
    assert tasks.add.__module__ == "tests.celery.tasks"
    assert tasks.add.name == "tests.celery.tasks.add"
    assert tasks.send.name == "mail.send"
    assert (tasks.stubborn.max_retries, tasks.stubborn.default_retry_delay) == (2, 7)


def test_options_of_the_decorator() -> None:
    run = run_of(tasks.send.delay("ada@example.com"))
    assert (run.queue_name, run.priority) == ("mail", 100)
    assert tasks.send.policy.timeout == 60
    assert tasks.send.policy.expires == 3600
    assert tasks.charge.policy.delivery == "at_most_once"


def test_options_of_a_call() -> None:
    before = timezone.now()
    run = run_of(tasks.add.apply_async((1,), countdown=60, expires=90, queue="imports", priority=4))
    assert (run.queue_name, run.priority, run.state) == ("imports", 44, RunState.SCHEDULED)
    assert 59 < (run.available_at - before).total_seconds() < 120
    assert run.expires_at - run.available_at == timedelta(seconds=30)
    eta = datetime(2100, 1, 1, tzinfo=UTC)
    assert run_of(tasks.add.apply_async((1,), eta=eta)).available_at == eta
    assert run_of(tasks.add.apply_async((1,), eta=eta.isoformat())).available_at == eta
    limited = run_of(tasks.add.apply_async((1,), soft_time_limit=3, time_limit=5))
    assert limited.options == {"timeout": 3.0}
    end = before + timedelta(days=30)
    expires_at = run_of(tasks.add.apply_async((1,), expires=end)).expires_at
    assert expires_at is not None
    assert abs(expires_at - end) < timedelta(minutes=5)
    assert run_of(tasks.add.apply_async((1,), expires=eta)).expires_at is not None


@pytest.mark.parametrize("options", [{"eta": datetime(2000, 1, 1, tzinfo=UTC)}, {"countdown": -5}])
def test_a_moment_in_the_past_is_now(options: dict[str, Any]) -> None:
    result = tasks.add.apply_async((1,), **options)
    run_worker()
    assert result.get() == 2


def test_the_expiry_of_a_task_counts_from_the_call() -> None:
    later = tasks.send.apply_async(("a@example.com",), countdown=3000)
    too_late = tasks.send.apply_async(("a@example.com",), countdown=7200)
    at_once = tasks.send.delay("a@example.com")

    def waits(result: AsyncResult[Any]) -> float:
        run = TaskRun.objects.get(id=result.id)
        assert run.expires_at is not None
        return (run.expires_at - run.available_at).total_seconds()

    assert waits(later) == pytest.approx(600)
    assert waits(too_late) == pytest.approx(0, abs=1)
    assert waits(at_once) == pytest.approx(3600)


def test_a_run_that_expires_before_its_time_is_revoked() -> None:
    result = tasks.add.apply_async((1,), countdown=60, expires=30)
    moment = timezone.now() - timedelta(hours=1)
    TaskRun.objects.update(available_at=moment, expires_at=moment)
    run_worker()
    assert result.state == states.REVOKED
    with pytest.raises(Exception, match="waited for a worker until"):
        result.get()


def test_on_commit() -> None:
    with transaction.atomic():
        result = tasks.add.delay_on_commit(2)
        other = tasks.add.apply_async_on_commit((3,), queue="imports")
        assert not TaskRun.objects.exists()
        assert result.state == states.PENDING
    assert {str(run.id) for run in TaskRun.objects.all()} == {result.id, other.id}
    run_worker()
    assert (result.get(), other.get()) == (3, 4)


def test_arguments_and_results_keep_their_types() -> None:
    given = tasks.of_every_type()
    result = tasks.typed.delay(*given.values(), given=given)
    tasks.calls.clear()
    run_worker()
    assert tasks.calls == [(tuple(given.values()), {"given": given})]
    assert result.get() == {"args": [*given.values()], "kwargs": {"given": given}}


def test_lazy_text_keys_and_tuples_are_as_in_json() -> None:
    result = tasks.typed.delay(gettext_lazy("word"), {1: (2, 3)})
    run_worker()
    assert result.get()["args"] == ["word", {"1": [2, 3]}]


def test_enqueue_takes_the_same_arguments() -> None:
    tasks.typed.enqueue(Decimal("1.5"))
    tasks.typed.enqueue_many([(date(2026, 1, 1),), {"a": b"x"}])
    tasks.calls.clear()
    run_worker("--threads", "1")
    assert tasks.calls == [
        ((Decimal("1.5"),), {}),
        ((date(2026, 1, 1),), {}),
        ((), {"a": b"x"}),
    ]


def test_what_kombu_writes_is_read() -> None:
    kombu = pytest.importorskip("kombu.utils.json")
    given = tasks.of_every_type()
    assert decoded(json.loads(kombu.dumps(given))) == given
    assert kombu.loads(json.dumps(encoded(given))) == given


@pytest.mark.parametrize(
    ("marked", "sentence"),
    [
        ({"__type__": "set", "__value__": [1]}, "has the type 'set', which is not one of"),
        ({"__type__": [], "__value__": 1}, "which is not one of"),
        ({"__type__": "uuid", "__value__": {"hex": "x"}}, "cannot be read"),
        ({"__type__": "decimal", "__value__": "x"}, "cannot be read"),
        ({"__type__": "datetime", "__value__": 5}, "cannot be read"),
    ],
)
def test_what_nobody_can_read_fails_with_a_sentence(marked: Any, sentence: str) -> None:
    result = tasks.typed.delay(marked)
    run_worker()
    with pytest.raises(ValueError, match=sentence):
        result.get()


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (tasks.add.delay, TypeError, "missing a required argument: 'a'"),
        (lambda: tasks.about.delay(1, 2, 3), TypeError, "does not take these arguments"),
        (lambda: tasks.add.delay(object()), TypeError, "which is not JSON. Pass an id or a dict"),
        (lambda: tasks.typed.apply_async("abc"), TypeError, "must be a list or a tuple"),
        (
            lambda: tasks.typed.apply_async((), [1]),
            TypeError,
            r"and the kwargs a dict: \(\), \[1\]",
        ),
        (lambda: tasks.add.apply_async((1,), eta=5), TypeError, "must be a datetime, not 5"),
        (lambda: tasks.add.apply_async((1,), eta="soon"), ValueError, "is not a moment"),
        (
            lambda: tasks.add.apply_async((1,), eta=datetime(2100, 1, 1)),
            ValueError,
            "has no time zone: 2100-01-01T00:00:00",
        ),
        (lambda: tasks.add.apply_async((1,), countdown="5"), ValueError, "must be seconds"),
        (lambda: tasks.add.apply_async((1,), countdown=1e99), ValueError, "must be seconds"),
        (lambda: tasks.add.apply_async((1,), priority=10), ValueError, "from 0 to 9, not 10"),
        (lambda: tasks.add.apply_async((1,), queue="nowhere"), InvalidTask, "nowhere"),
        (lambda: tasks.add.apply_async((1,), link=tasks.double), NotCarried, "Use chain"),
        (lambda: tasks.add.apply_async((1,), task_id="x"), NotCarried, "unique=taskworks.Unique"),
        (lambda: tasks.add.apply_async((1,), headers={"a": 1}), NotCarried, "Pass an argument"),
        (lambda: tasks.add.apply_async((1,), routing_key="a"), NotCarried, "no broker. Use queue"),
        (lambda: tasks.add.apply_async((1,), serializer="pickle"), NotCarried, "are JSON here"),
        (lambda: tasks.add.apply_async((1,), count_down=1), TypeError, "'countdown'"),
        (lambda: tasks.add.chunks([], 2), NotCarried, "chunks"),
        (lambda: tasks.app.send_task("x"), NotCarried, "App.send_task is not carried"),
        (lambda: tasks.app.nothing, AttributeError, "has no attribute 'nothing'"),
        (lambda: AsyncResult("nobody").get(), Exception, "nobody"),
        (lambda: AsyncResult(None), ValueError, "requires valid id"),
        (lambda: AsyncResult("x").forget(), NotCarried, r"forget\(\)"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    call: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as refused:
        call()
    assert not TaskRun.objects.exists()
    assert PAGE in str(refused.value) or not isinstance(refused.value, NotCarried)


def test_options_that_are_none_or_have_no_effect_are_accepted() -> None:
    tasks.add.apply_async((1,), link=None, task_id=None, headers=None, retry=True, shadow="x")
    assert TaskRun.objects.count() == 1


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"base": dict}, NotCarried, "decorator below @shared_task"),
        ({"rate_limit": "10/m"}, NotCarried, "limit=taskworks.Limit"),
        ({"serializer": "pickle"}, NotCarried, "serializer='pickle' of the task"),
        ({"routing_key": "x"}, NotCarried, "no broker"),
        ({"pydantic": True}, NotCarried, "typed=True"),
        ({"queue": object()}, NotCarried, "not a name"),
        ({"retry_kwargs": {"link": 1}}, NotCarried, "retry_kwargs"),
        ({"max_retry": 3}, TypeError, "'max_retries'"),
        ({"max_retries": -1}, ValueError, "0 or more"),
        ({"autoretry_for": ("x",)}, TypeError, "must be exception classes, not 'x'"),
        ({"retry_backoff": "x"}, ValueError, "retry_backoff"),
        ({"priority": "high"}, ValueError, "from 0 to 9"),
        ({"soft_time_limit": 5, "time_limit": 3}, ValueError, "less than or equal"),
        ({"expires": datetime(2100, 1, 1)}, TypeError, "must be seconds"),
        ({"name": "mail.send"}, TypeError, "Two functions claim the task name 'mail.send'"),
    ],
)
def test_a_task_is_refused_in_a_sentence(
    options: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        shared_task(**options)(tasks.unused)


def test_bind_needs_a_parameter() -> None:
    def function() -> None: ...

    with pytest.raises(TypeError, match="no first parameter for the task"):
        shared_task(bind=True)(function)


def test_names_of_celery_that_are_not_carried() -> None:
    with pytest.raises(ImportError, match=f"chunks of celery is not carried.*See {PAGE}"):
        from taskworks.celery import chunks  # type: ignore[attr-defined]  # noqa: F401
    with pytest.raises(NotCarried, match=r"Ignore of celery\.exceptions"):
        from taskworks.celery.exceptions import Ignore  # type: ignore[attr-defined]  # noqa: F401
    with pytest.raises(ImportError, match="cannot import name 'xyz'"):
        from taskworks.celery import xyz  # type: ignore[attr-defined]  # noqa: F401
    with pytest.raises(TypeError, match="Classes of tasks"):
        type("Own", (type(tasks.add),), {})


def test_options_without_effect_are_accepted() -> None:
    made = shared_task(acks_late=True, track_started=True, serializer="json", rate_limit=None)
    assert made(tasks.unused).max_retries == 3


def test_a_module_may_be_imported_again() -> None:
    assert shared_task(name="mail.send", queue="mail")(tasks.send.run).name == "mail.send"
    shared_task(name="mail.send", queue="mail", priority=9, expires=3600, time_limit=60)(
        tasks.send.run
    )


def test_tests_can_put_a_mock_in_its_place() -> None:
    with patch("tests.celery.tasks.add.delay") as mock:
        tasks.add.delay(1)
    mock.assert_called_once_with(1)
    assert tasks.add.delay(1).id
    with pytest.raises(AttributeError, match="cannot assign"):
        tasks.add.queue_name = "x"  # type: ignore[misc]


def test_a_waiting_run_is_revoked() -> None:
    result = tasks.add.delay(1)
    result.revoke()
    assert (result.state, result.ready(), result.failed()) == (states.REVOKED, True, False)
    with pytest.raises(Exception, match="cancelled before it began"):
        result.get()
    assert type(result.get(propagate=False)).__name__ == "TaskRevokedError"


def test_an_unknown_run_is_pending() -> None:
    for unknown in ("no uuid", "0198c2d2-0000-7000-8000-000000000000"):
        assert (AsyncResult(unknown).state, AsyncResult(unknown).result) == ("PENDING", None)


def test_get_waits_no_longer_than_its_timeout() -> None:
    with pytest.raises(TimeoutError):
        tasks.add.delay(1).get(timeout=0.05)


def test_a_task_says_its_state() -> None:
    tasks.gate.clear()
    tasks.calls.clear()
    result = tasks.reporting.delay()
    seen: list[Any] = []

    def look() -> None:
        wait_for(lambda: tasks.calls, "the task says its state")
        seen.extend([result.state, result.info, result.ready()])
        tasks.gate.set()
        connections.close_all()

    thread = threading.Thread(target=look)
    thread.start()
    run_worker()
    thread.join(30)
    assert seen == ["PROGRESS", {"current": 3, "at": date(2026, 1, 2)}, False]
    assert (result.state, result.result) == (states.SUCCESS, None)


def test_options_of_ours_count_arguments_without_self() -> None:
    first, second = tasks.one_at_a_time.delay(UUID(int=1)), tasks.one_at_a_time.delay(UUID(int=1))
    assert first == second
    run_worker()
    assert first.get() == UUID(int=1)


def test_it_is_imported_without_models_and_without_celery() -> None:
    code = (
        "import sys; import taskworks.celery, taskworks.celery.utils.log;"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in ('celery', 'kombu')"
        " or n.startswith(('taskworks.models', 'taskworks.store'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "[]\n"
