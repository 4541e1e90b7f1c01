"""``taskworks.celery.Celery``: tasks of the real Celery, and of packages that have some."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import django
import pytest
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from taskworks.celery import AsyncResult, NotCarried, states
from taskworks.discovery import resolve
from taskworks.exceptions import InvalidTask
from taskworks.models import TaskRun
from tests.behavior import run_worker
from tests.moving import taskworks

pytest.importorskip("celery")

import celery
from celery import _state, signals

from taskworks.celery import Celery
from tests.celery import of_celery

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "tests.celery.of_celery"


@pytest.fixture(scope="module", autouse=True)
def app() -> Iterator[Any]:
    app = Celery("shop")
    app.conf.task_routes = {f"{NAME}.about": {"queue": "imports"}}
    yield app
    app.close()


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    of_celery.calls.clear()


def run_of(result: Any) -> TaskRun:
    return TaskRun.objects.get(id=result.id)


def delay_of(result: Any) -> float:
    run = run_of(result)
    return round((run.available_at - run.last_attempted_at).total_seconds())


def make_due() -> None:
    TaskRun.objects.scheduled().update(available_at=timezone.now() - timedelta(hours=1))


@pytest.fixture
def made_last() -> Iterator[Any]:
    """Another app, which Celery takes for the current one in threads."""
    before = _state.default_app
    another = celery.Celery("another", broker="memory://", set_as_current=False)
    another.set_default()
    yield another
    _state.set_default_app(before)
    another.close()


def run_all() -> None:
    """Let a worker execute what there is, and what is retried, until nothing is left."""
    while TaskRun.objects.exclude(state__in=("successful", "failed", "cancelled")).exists():
        run_worker("--threads", "1")
        make_due()


def test_delay_is_a_run(app: Any) -> None:
    result = of_celery.add.delay(2, b=3)
    assert isinstance(result, AsyncResult)
    assert (run_of(result).task_path, result.state) == (f"{NAME}.add", states.PENDING)
    run_worker()
    assert (result.get(), app.AsyncResult(result.id).get()) == (5, 5)
    assert "tests.celery.of_celery.add" in taskworks("list")


def test_a_run_exists_if_the_transaction_commits() -> None:
    with transaction.atomic():
        of_celery.add.delay(1)
        transaction.set_rollback(True)
    assert not TaskRun.objects.exists()
    with transaction.atomic():
        of_celery.add.delay_on_commit(1)
        assert not TaskRun.objects.exists()
    assert TaskRun.objects.count() == 1


def test_options_and_a_name_without_a_module(app: Any) -> None:
    run = run_of(of_celery.send.delay("ada@example.com"))
    assert (run.task_path, run.queue_name, run.priority) == ("celery.of_celery_send", "mail", 100)
    assert run.enqueued(resolve(run.task_path)).timeout == 60
    eta = datetime(2100, 1, 1, tzinfo=UTC)
    assert run_of(of_celery.add.apply_async((1,), eta=eta)).available_at == eta
    sent = run_of(app.send_task("of_celery_send", ["bob@example.com"], queue="imports"))
    assert sent.queue_name == "imports"
    assert run_of(of_celery.about.delay()).queue_name == "imports"
    TaskRun.objects.scheduled().delete()
    run_worker()
    assert {r.return_value for r in TaskRun.objects.filter(task_path="celery.of_celery_send")} == {
        "sent to ada@example.com",
        "sent to bob@example.com",
    }


def test_arguments_keep_their_types() -> None:
    result = of_celery.typed.delay(Decimal("1.5"))
    run_worker()
    assert result.get() == Decimal("2.5")


def test_the_request() -> None:
    result = of_celery.about.delay()
    run_worker()
    assert result.get() == {"id": result.id, "eager": False, "direct": False}


def test_retries_are_attempts_of_the_run() -> None:
    result = of_celery.stubborn.delay()
    run_worker()
    assert (result.state, delay_of(result)) == (states.RETRY, 7)
    run_all()
    assert of_celery.calls == [0, 1, 2]
    with pytest.raises(of_celery.CarrierError, match="busy"):
        result.get()
    assert TaskRun.objects.count() == 1


def test_autoretry() -> None:
    result = of_celery.carried.delay()
    delays = []
    for _ in range(3):
        run_worker()
        delays.append(delay_of(result))
        make_due()
    run_all()
    assert (delays, result.state, result.retries) == ([2, 4, 8], states.FAILURE, 4)


def test_a_retry_with_other_arguments_is_another_run() -> None:
    first = of_celery.in_parts.delay(["good", "bad"], throw=False)
    run_all()
    assert of_celery.calls == [(["good", "bad"], 0), (["bad"], 1)]
    assert (first.state, first.get()) == (states.SUCCESS, "sent")
    other = TaskRun.objects.exclude(id=first.id).get()
    assert "MaxRetriesExceededError" in str(AsyncResult(other.id).traceback)


def test_a_retry_that_ends_the_attempt_names_the_other_run() -> None:
    first = of_celery.in_parts.delay(["good", "bad"], throw=True)
    run_worker("--threads", "1")
    other = TaskRun.objects.exclude(id=first.id).get()
    assert first.state == states.FAILURE
    assert f"a retry with other arguments, with which run {other.id} goes on" in str(
        first.traceback
    )


def test_what_it_raises() -> None:
    ignored, rejected = of_celery.ignored.delay(), of_celery.rejected.delay()
    run_worker()
    assert (ignored.state, rejected.state) == (states.SUCCESS, states.FAILURE)
    assert "not today" in str(rejected.traceback)


def test_handlers_and_signals_of_celery() -> None:
    heard: list[Any] = []

    def hear(sender: Any = None, **given: Any) -> None:
        heard.append((sender.name, given.get("state")))

    signals.task_postrun.connect(hear)
    try:
        good, bad = of_celery.noted.delay(4), of_celery.noted.delay(-1)
        run_worker("--threads", "1")
    finally:
        signals.task_postrun.disconnect(hear)
    assert of_celery.calls == [("success", 4, good.id), ("failure", "negative", bad.id)]
    assert heard == [(f"{NAME}.noted", "SUCCESS"), (f"{NAME}.noted", "FAILURE")]


def test_a_schedule_fires_it(settings: Any) -> None:
    settings.CELERY_BEAT_SCHEDULE = {
        "nightly": {"task": f"{NAME}.add", "schedule": timedelta(hours=1), "args": (4,)}
    }
    assert "added" in taskworks("import-schedules", "--from", "settings")
    taskworks("schedules", "--run-now", "nightly")
    run_worker()
    assert TaskRun.objects.get().return_value == 5


def test_the_immediate_backend_executes_it_where_it_is_called(settings: Any) -> None:
    immediate = {"BACKEND": "taskworks.backends.immediate.ImmediateBackend", "QUEUES": []}
    settings.TASKS = {**settings.TASKS, "default": immediate}
    assert of_celery.add.delay(1).get() == 2
    assert of_celery.stubborn.delay().state == states.FAILURE
    assert of_celery.calls == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda app: app.send_task("nobody.knows"), InvalidTask, "has no task 'nobody.knows'"),
        (lambda app: of_celery.pickled.delay(), NotCarried, "serializer='pickle' of a call"),
        (lambda app: of_celery.add.apply_async((1,), task_id="x"), NotCarried, "Ids are given"),
        (lambda app: of_celery.add.apply_async((1,), headers={"a": 1}), NotCarried, "headers"),
        (lambda app: of_celery.add.apply_async((1,), routing_key="x"), NotCarried, "no broker"),
        (
            lambda app: of_celery.add.apply_async((1,), link=of_celery.add.s(1)),
            NotCarried,
            "The option link=",
        ),
        (
            lambda app: (of_celery.add.s(1) | of_celery.add.s()).delay(),
            NotCarried,
            "The option chain=",
        ),
        (lambda app: of_celery.add.apply_async((1,), queue="nowhere"), InvalidTask, "nowhere"),
        (lambda app: of_celery.add.delay(object()), TypeError, "not JSON"),
        (
            lambda app: of_celery.add.apply_async((1,), eta=datetime(2100, 1, 1)),
            ValueError,
            "has no time zone",
        ),
        (lambda app: Celery("again"), ImproperlyConfigured, "is made, after 'shop'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    app: Any, call: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        call(app)
    assert not TaskRun.objects.exists()


def test_without_celery_the_sentence_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['celery'] = None\n"
        "try:\n    from taskworks.celery import Celery\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "pip install 'django-taskworks[celery]'" in done.stdout


# Packages from PyPI.


@pytest.mark.usefixtures("made_last")
def test_a_shared_task_retries_itself_though_another_app_was_made_since(app: Any) -> None:
    result = of_celery.goes_on.delay()
    run_worker("--threads", "1")
    assert run_of(result).state == "successful"  # with throw=False, it has gone on
    assert TaskRun.objects.scheduled().get().task_path == run_of(result).task_path


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="it does not support Django 6.0")
def test_django_celery_email(settings: Any) -> None:
    """It is a mail backend that sends by a task, which retries itself with what is left."""
    settings.CELERY_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    pytest.importorskip("djcelery_email.conf")
    settings.EMAIL_BACKEND = "djcelery_email.backends.CeleryEmailBackend"
    mail.outbox = []
    mail.send_mail("Tea", "It is ready.", "tea@example.com", ["ada@example.com"])
    run = TaskRun.objects.get()
    assert (run.task_path, mail.outbox) == ("celery.djcelery_email_send_multiple", [])
    run_worker()
    assert [(one.subject, one.to) for one in mail.outbox] == [("Tea", ["ada@example.com"])]
    assert "celery.djcelery_email_send_multiple" in taskworks("list")

    settings.CELERY_EMAIL_BACKEND = "tests.celery.refusing_mail.EmailBackend"
    mail.send_mail("Tea", "It is cold.", "tea@example.com", ["bob@example.com"])
    run_worker("--threads", "1")
    settings.CELERY_EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    make_due()
    run_worker()
    assert mail.outbox[-1].to == ["bob@example.com"]
    assert TaskRun.objects.count() == 3


def test_django_cacheback(settings: Any) -> None:
    """It refreshes cached values by a task."""
    settings.RQ_QUEUES = {"default": {"URL": "redis://nowhere"}}  # it imports django-rq, too
    base = pytest.importorskip("cacheback.base")
    from tests.celery import cached

    job = cached.Prices()
    assert isinstance(job, base.Job)
    job.delete("tea")
    cached.PRICES["tea"] = 3
    assert job.get("tea") is None
    assert TaskRun.objects.get().task_path == "cacheback.tasks.refresh_cache"
    run_worker()
    assert (job.get("tea"), TaskRun.objects.get().state) == (3, "successful")
    cache.clear()
