"""What the Celery apps of all systems have in common: a broker, and few signs of life."""

from typing import Any

from celery import Celery

from benchmarks import databases
from benchmarks.place import Place

place = Place.here()
BROKERS = {"redis": f"{databases.REDIS}/{databases.QUEUES}", "rabbitmq": databases.RABBITMQ}


def new_app(**options: Any) -> Celery:
    """Return an app with the broker of the place, which is its store or its variant."""
    app = Celery("bench", broker=BROKERS.get(place.variant) or BROKERS[place.store], **options)
    app.conf.update(
        task_default_queue=place.database,
        worker_prefetch_multiplier=64,  # as its documentation recommends for short tasks
        worker_disable_rate_limits=True,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
    )
    return app
