"""The queues that a worker takes follow what it consumes at its broker."""

from typing import Any

import pytest
from celery import Celery

from taskworks.celery_worker.queues import keep_what_is_consumed
from taskworks.models import Worker
from tests import tasks
from tests.celery_worker.brokers import OwnRedis
from tests.celery_worker.processes import StartCelery
from tests.on_request import on_request
from tests.stopping.runs import finished
from tests.waiting import wait_for


@pytest.mark.any_database
def test_what_is_sent_elsewhere_is_not_consumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With older versions of Celery, a worker without ``-Q`` would."""

    def as_before(queues: Any) -> Any:
        return queues if queues._consume_from is None else queues._consume_from

    with Celery("shop", broker="memory://", set_as_current=False) as app:
        monkeypatch.setattr(type(app.amqp.queues), "consume_from", property(as_before))
        keep_what_is_consumed(app)
        app.amqp.router.route({"queue": "mail"}, "taskworks.run")
        assert [*app.amqp.queues.consume_from] == ["celery"]
        app.amqp.queues.select_add("reports")
        assert [*app.amqp.queues.consume_from] == ["celery", "reports"]


@on_request
def test_add_consumer_and_cancel_consumer_are_followed(
    start_celery: StartCelery, redis_server: OwnRedis
) -> None:
    worker = start_celery(redis_server.url).wait_until_connected()
    mail = tasks.send_mail.enqueue("a")
    with Celery("asking", broker=redis_server.url, set_as_current=False) as app:
        here = {"destination": [worker.name], "reply": True, "timeout": 10}
        app.control.add_consumer(f"{worker.queue}-mail", **here)
        assert finished(mail)[0].state == "successful"
        wait_for(lambda: Worker.objects.get().takes("mail"), "its row says so")
        app.control.cancel_consumer(f"{worker.queue}-mail", **here)
        # It says so before it does it.
        worker.wait_for_log(f"Canceling queue {worker.queue}-mail")
        inspect = app.control.inspect([worker.name], timeout=10)
        wait_for(lambda: len(inspect.active_queues()[worker.name]) == 1, "it consumes one queue")
    wait_for(lambda: not Worker.objects.get().takes("mail"), "its row says so")
    left = tasks.send_mail.enqueue("b")
    finished(*(tasks.noop.enqueue() for _ in range(20)))
    left.refresh()
    assert left.status == "READY"
