"""The code of the page on Celery's workers."""

import sys

import pytest
from django.core.checks import run_checks
from django.utils.module_loading import import_string

from taskworks.backends.celery.messenger import messenger
from taskworks.backends.celery.ticket import TASK_NAME
from taskworks.database import messengers
from tests.docs.conftest import Settings, run, with_database
from tests.docs.pages import executes


@executes("shop/celery.py", "shop/on_celery.py")
@with_database
def test_runs_on_celery(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messengers, "in_use", ())
    settings.CELERY_BROKER_URL = "memory://"
    settings.TASKS = run("shop/on_celery.py")["TASKS"]
    app = import_string("shop.celery.app")
    try:
        assert [one for one in run_checks() if one.id and one.id[-4:-1] in ("E09", "W09")] == []
        with app.connection_for_read() as connection, connection.SimpleQueue("celery") as queue:
            queue.clear()  # of other tests, with which it shares this process's memory
            result = import_string("shop.tasks.count_words").enqueue("one two")
            message = queue.get(timeout=60)
            message.ack()
        assert (message.headers["task"], message.headers["id"]) == (TASK_NAME, result.id)
    finally:
        messenger.end()
        messenger.begin_anew()
        app.close()
        del sys.modules["shop.celery"]
